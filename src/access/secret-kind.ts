import { isAccessToken } from './login/access-token.ts';

const idTokenForm = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/;

/** The kind of a secret sent as password, by its form alone. */
export function secretKind(text: string): 'access token' | 'ID token' | 'password' {
  if (isAccessToken(text)) return 'access token';
  return idTokenForm.test(text) ? 'ID token' : 'password';
}
