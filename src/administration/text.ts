import { Refused } from '../access/refused.ts';

const maxLength = 254;

/** Something that people read, on one line. @throws Refused */
export function parseLine(what: string, text: string): string {
  if (text === '' || text !== text.trim())
    throw new Refused(`${what} neither is empty nor begins or ends with a blank`);
  if (/\p{Control}/u.test(text)) throw new Refused(`${what} is one line, without control characters`);
  if (text.length > maxLength) throw new Refused(`${what} has at most ${maxLength} characters`);
  return text;
}

/** @throws Refused */
export function parseMail(text: string): string {
  const mail = parseLine('a mail address', text);
  if (!/^[^@\s]+@[^@\s]+$/.test(mail)) throw new Refused(`${JSON.stringify(mail)} is no mail address`);
  return mail;
}

/** The text as a shell reads it as one word. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
