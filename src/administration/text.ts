import { Refused } from '../access/refused.ts';

const maxLength = 254;

/** Parses one line of readable text. @throws Refused */
export function parseLine(what: string, text: string): string {
  if (text === '' || text !== text.trim())
    throw new Refused(`${what} must not be empty, or begin or end with a blank`);
  if (/\p{Control}/u.test(text)) throw new Refused(`${what} must be one line, without control characters`);
  if (text.length > maxLength) throw new Refused(`${what} must have at most ${maxLength} characters`);
  return text;
}

/** @throws Refused */
export function parseMail(text: string): string {
  const mail = parseLine('a mail address', text);
  if (!/^[^@\s]+@[^@\s]+$/.test(mail)) throw new Refused(`${JSON.stringify(mail)} is not a mail address`);
  return mail;
}

/** Quotes the text as one word for a shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
