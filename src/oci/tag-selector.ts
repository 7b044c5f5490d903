// What selects the tags of a retention rule: a tag rule (`oci/tag-rule.ts`), or a regular expression between slashes.
import { RE2JS } from 're2js';
import type { Tag } from './reference.ts';
import { asTagRule, selects, tagRuleForm } from './tag-rule.ts';

/** Describes the form of a selector, for messages. */
export const tagSelectorForm = `${tagRuleForm}; or a regular expression between slashes (/^nightly-\\d+$/)`;

/** Characters of a regular expression, and instructions of its program: it is compiled and run on the event loop. */
const [maxLength, maxProgram] = [255, 300];

/** `text` as a selector of tags, or `undefined`. Matching takes time linear in the length of the tag. */
export function asTagSelector(text: string): ((tag: Tag) => boolean) | undefined {
  if (!text.startsWith('/')) {
    const rule = asTagRule(text);
    return rule && ((tag) => selects(rule, tag));
  }
  if (text.length > maxLength || text.length < 3 || !text.endsWith('/')) return undefined;
  try {
    const expression = RE2JS.compile(text.slice(1, -1));
    return expression.programSize() > maxProgram ? undefined : (tag) => expression.test(tag);
  } catch {
    return undefined;
  }
}
