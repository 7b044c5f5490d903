import { isAccessToken } from './login/access-token.ts';

const idTokenForm = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/;

/** For what a login takes that which is sent in the place of a password, by its shape alone. */
export function secretKind(text: string): 'access token' | 'ID token' | 'password' {
  if (isAccessToken(text)) return 'access token';
  return idTokenForm.test(text) ? 'ID token' : 'password';
}
