// HTML in which every text is escaped, unless it was made here.

const made = Symbol('made by html');

export interface Html {
  readonly [made]: true;
  readonly text: string;
}

type Part = Html | string | number | undefined | false | readonly Part[];

/** A template whose values are text; those that `html` made are taken as they are. `undefined` and `false` are nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return verbatim(String.raw({ raw: strings }, ...parts.map(textOf)));
}

/** For text of Berth's own that is not to be escaped, such as a style. */
export function verbatim(text: string): Html {
  return { [made]: true, text };
}

function textOf(part: Part): string {
  if (part === undefined || part === false) return '';
  if (Array.isArray(part)) return part.map(textOf).join('');
  if (typeof part === 'object') return (part as Html).text;
  return String(part).replaceAll(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
