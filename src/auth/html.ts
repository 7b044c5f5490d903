// HTML templates that escape every value, except HTML made by `html`.

const made = Symbol('made by html');

export interface Html {
  readonly [made]: true;
  readonly text: string;
}

type Part = Html | string | number | undefined | false | readonly Part[];

/** Escapes the values of a template, except results of `html`. `undefined` and `false` are left out. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return verbatim(String.raw({ raw: strings }, ...parts.map(textOf)));
}

/** Marks text of Berth, such as a style sheet, as not to be escaped. */
export function verbatim(text: string): Html {
  return { [made]: true, text };
}

function textOf(part: Part): string {
  if (part === undefined || part === false) return '';
  if (Array.isArray(part)) return part.map(textOf).join('');
  if (typeof part === 'object') return (part as Html).text;
  return String(part).replaceAll(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
