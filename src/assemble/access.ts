import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { Access } from '../access/access.ts';
import { IdTokens } from '../access/login/id-tokens.ts';
import { KeySets } from '../access/login/key-sets.ts';
import { Logins } from '../access/login/logins.ts';
import { Sessions } from '../access/login/sessions.ts';
import { whyRefused } from '../access/login/shared-issuers.ts';
import type { FindClaims } from '../access/namespace-claims.ts';
import { BearerTokens, service } from '../access/tokens/bearer.ts';
import { ForeignKeys } from '../access/tokens/foreign-keys.ts';
import { ForeignTokens } from '../access/tokens/foreign-tokens.ts';
import { SigningKeys } from '../access/tokens/signing-keys.ts';
import { TokenGrants } from '../access/tokens/token-grants.ts';
import { claimsOfUsers } from '../administration/claim-namespace.ts';
import type { Audit } from '../audit/audit.ts';
import { Attempts } from '../auth/attempts.ts';
import { addPages } from '../auth/pages.ts';
import { addTokenServer, tokenPath } from '../auth/token.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../core/clock.ts';
import type { Database } from '../db/database.ts';
import { listTrusts } from '../db/trusts.ts';
import { baseUrlOf, type ClientOf } from '../http/client.ts';
import type { TokenServer } from '../v2/challenge.ts';
import type { Limits } from '../v2/limits.ts';

export interface AccessParts {
  readonly opened: AsyncDisposableStack;
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly audit: Audit;
  readonly clientOf: ClientOf;
  /** Absent: no limits. */
  readonly limits: Limits | undefined;
}

/** Authentication and authorization. */
export interface AssembledAccess {
  readonly access: Access;
  /** Tells clients where to get a token. */
  readonly tokenServer: TokenServer;
  readonly sessions: Sessions;
  /** Adds the pages and endpoints for logins. */
  addRoutes(http: FastifyInstance): void;
}

/** The parts that Berth's own tokens and foreign tokens both use. */
interface Common {
  readonly database: Database;
  readonly clock: Clock;
  readonly policy: Config['anonymous'];
  readonly findClaims: FindClaims;
  readonly passwordLogin: boolean;
  readonly logins: Logins;
  readonly sessions: Sessions;
}

/** Assembles access with Berth's own token server, or for the tokens of another token server. @throws TokenServerKeysError */
export async function assembleAccess(config: Config, parts: AccessParts): Promise<AssembledAccess> {
  const { opened, database, clock, logger } = parts;
  const { passwordLogin, createNamespaces, namespacesPerUser } = config.access;
  const logins = new Logins({
    database,
    clock,
    passwordLogin,
    perAddress: config.limits.loginsPerAddress,
    perAccount: config.limits.loginsPerAccount,
    idTokens: new IdTokens({ database, keySets: new KeySets(), clock }),
  });
  // A login may still do work in the background after its answer.
  opened.defer(() => logins.settled());
  await warnOfRefusedTrusts(database, logger);
  const common: Common = {
    database,
    clock,
    policy: config.anonymous,
    findClaims: claimsOfUsers(createNamespaces === 'users' ? namespacesPerUser : 0),
    passwordLogin,
    logins,
    sessions: new Sessions({ database, clock, passwordLogin }),
  };
  return config.tokenServer === undefined
    ? withOwnTokens(config, parts, common)
    : withForeignTokens(config.tokenServer, logger, common);
}

async function warnOfRefusedTrusts({ read }: Database, logger: Logger): Promise<void> {
  for (const trust of await listTrusts(read)) {
    const reason = whyRefused(trust);
    if (reason === undefined) continue;
    const { organisation, name } = trust;
    logger.warn(
      { organisation, trust: name, reason },
      'trust accepts no jobs until its rules are changed (berth trust set)',
    );
  }
}

/** @throws TokenServerKeysError */
async function withForeignTokens(
  { realm, service, issuer, certificates, keys: set }: NonNullable<Config['tokenServer']>,
  logger: Logger,
  common: Common,
): Promise<AssembledAccess> {
  const keys = await ForeignKeys.open(
    { certificates, keys: set },
    {
      reloaded: (keys) => logger.info({ keys }, 'reloaded the keys of the token server'),
      failed: (err) =>
        logger.error({ err }, 'cannot read the keys of the token server; the previous keys stay in use'),
    },
  );
  const tokens = new ForeignTokens({ keys, clock: common.clock, issuer, service });
  return {
    access: new Access({ ...common, tokens }),
    tokenServer: { service, realmFor: () => realm },
    sessions: common.sessions,
    addRoutes() {},
  };
}

async function withOwnTokens(
  config: Config,
  { audit, clientOf, limits }: AccessParts,
  common: Common,
): Promise<AssembledAccess> {
  const { database, clock, passwordLogin, logins, sessions } = common;
  const { tokenLifetime: lifetime, refreshLifetime } = config.access;
  const keys = new SigningKeys({ database, clock });
  const tokens = new BearerTokens({ keys, clock, lifetime, refreshLifetime, passwordLogin });
  // Loads the library of single sign-on, 7 MB, only if it is configured.
  const provider = config.signOn && new (await import('../auth/provider.ts')).Provider(config.signOn);
  const grants = new TokenGrants({ ...common, tokens });
  return {
    access: new Access({ ...common, tokens }),
    tokenServer: {
      service,
      realmFor: ({ client }) => `${baseUrlOf(client, config.externalUrl) ?? ''}${tokenPath}`,
    },
    sessions,
    addRoutes(http) {
      addTokenServer(http, { logins, tokens, grants, audit, clientOf, limits });
      addPages(http, {
        database,
        clock,
        sessions,
        logins,
        audit,
        clientOf,
        passwords: passwordLogin,
        provider,
        attempts: new Attempts({ tokens, clock, perAddress: config.limits.loginsPerAddress }),
        administratorsGroup: config.signOn?.administratorsGroup,
        externalUrl: config.externalUrl,
      });
    },
  };
}
