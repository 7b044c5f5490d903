// The claims of Berth's own tokens: those of Docker's format, the identity, the credential and the ids of repositories, because a
// name can later belong to another repository.
import type { JWTPayload } from 'jose';
import { asName } from '../../oci/name.ts';
import { type Credential, type Identity, type Principal, principalKey } from '../identity.ts';
import { type Action, asAction } from '../rights.ts';
import type { BearerToken, Granted } from './token-verifier.ts';

export function identityClaims({ principal, credential }: Identity): JWTPayload {
  return { sub: principalKey(principal), principal, credential };
}

export function accessClaims(granted: readonly Granted[], catalog: boolean): JWTPayload {
  const repositories = granted.map(({ name, actions, repository }) => {
    return { type: 'repository', name, actions, ...(repository !== undefined && { id: repository }) };
  });
  return { access: catalog ? [...repositories, catalogEntry] : repositories };
}

const catalogEntry = { type: 'registry', name: 'catalog', actions: ['*'] };

/** The identity in the token, or `undefined` if it does not have this version's form. */
export function readIdentity({ principal, credential }: JWTPayload): Identity | undefined {
  const [who, by] = [readPrincipal(principal), readCredential(credential)];
  return who && by && { principal: who, credential: by };
}

/**
 * The access that the token gives, or `undefined` if it does not have the form of Docker's tokens. Repository ids are valid only
 * in Berth's own tokens.
 */
export function readAccess(
  { access }: JWTPayload,
  { ids = false }: { readonly ids?: boolean } = {},
): Pick<BearerToken, 'granted' | 'catalog'> | undefined {
  // Go writes null for an empty list.
  if (access === undefined || access === null) return { granted: new Map(), catalog: false };
  if (!Array.isArray(access)) return undefined;
  const granted = new Map<string, Granted>();
  let catalog = false;
  for (const entry of access) {
    if (!isObject(entry)) return undefined;
    const { type, name, actions, id } = entry;
    if (actions === undefined || actions === null) continue;
    if (!isTexts(actions)) return undefined;
    if (type === 'registry' && name === 'catalog') catalog ||= actions.includes('*');
    if (type !== 'repository' || typeof name !== 'string') continue;
    const one = readGranted(name, actions, ids ? id : undefined);
    if (one !== undefined) granted.set(name, merge(granted.get(name), one));
  }
  return { granted, catalog };
}

function readGranted(text: string, texts: readonly string[], id: unknown): Granted | undefined {
  const name = asName(text);
  const actions = texts.map(asAction).filter((action) => action !== undefined);
  return name && { name, actions, repository: isId(id) ? id : undefined };
}

function merge(one: Granted | undefined, other: Granted): Granted {
  if (one === undefined) return other;
  return { ...other, actions: [...new Set<Action>([...one.actions, ...other.actions])] };
}

function readPrincipal(claim: unknown): Principal | undefined {
  if (!isObject(claim)) return undefined;
  const { kind, id, name, trust, subject } = claim;
  if (kind === 'anonymous') return { kind };
  if (typeof name !== 'string') return undefined;
  if ((kind === 'user' || kind === 'robot') && isId(id)) return { kind, id, name };
  if (kind === 'job' && isId(trust) && typeof subject === 'string') return { kind, trust, subject, name };
  return undefined;
}

function readCredential(claim: unknown): Credential | undefined {
  if (!isObject(claim)) return undefined;
  const { kind, id, since, trust, terms } = claim;
  if (kind === 'none') return { kind };
  if (kind === 'password' && isTime(since)) return { kind, since };
  if (kind === 'token' && isId(id)) return { kind, id };
  if (kind === 'id-token' && isId(trust) && isTime(since) && isTime(terms)) {
    return { kind, trust, since, terms };
  }
  return undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
