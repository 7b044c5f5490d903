// Issuers that many tenants share, and the rules of a trust that accept the jobs of one tenant only. Sources: the platforms'
// references of their OIDC tokens (docs.github.com "OpenID Connect reference", docs.gitlab.com "ID tokens", buildkite.com "OIDC",
// developer.hashicorp.com "Workload identity", circleci.com "OpenID Connect tokens", Bitbucket "Integrate Pipelines with resource
// servers", Azure DevOps "Workload identity federation", Google "OpenID Connect").
import type { ClaimRules } from './claim-rules.ts';

/** The terms of a trust that decide which jobs it accepts. */
interface Terms {
  readonly issuer: string;
  readonly claims: ClaimRules;
  /** An administrator has confirmed that no other tenant has jobs at this issuer. */
  readonly ownIssuer: boolean;
}

interface SharedIssuer {
  /** The platform's name, for messages. */
  readonly name: string;
  readonly serves: (url: URL) => boolean;
  /** Path of issuers that sign for one tenant only, if the platform has them. */
  readonly ownPath?: RegExp;
  /** For each claim, the form of a rule that matches one tenant only: the tenant's whole name precedes any `*`. */
  readonly tenant: Readonly<Record<string, RegExp>>;
  /** The rule to add, or the issuer to use instead. */
  readonly remedy: string;
}

const exact = /^[^*]+$/;
const number = /^\d+$/;

/**
 * Known issuers with many tenants. Claims not listed do not identify a tenant: `ref`, `environment`, `job_workflow_ref`, `actor`,
 * …
 */
export const sharedIssuers: readonly SharedIssuer[] = [
  {
    name: 'GitHub Actions',
    // Includes an enterprise's own issuer and GitHub Enterprise Server: there, too, every repository owner gets tokens.
    serves: ({ host, pathname }) =>
      host === 'token.actions.githubusercontent.com' || /\/_services\/token\/?$/.test(pathname),
    tenant: {
      repository: /^[^*/]+\//,
      repository_owner: exact,
      repository_id: number,
      repository_owner_id: number,
      enterprise: exact,
      enterprise_id: number,
      // Each repository can customize its subjects, so only the first part can name the owner.
      sub: /^(?:(?:repo|repository):[^*:/]+\/|(?:repository_owner|enterprise):[^*:]+(?::|$)|(?:repository|repository_owner|enterprise)_id:\d+(?::|$))/,
    },
    remedy: '--claim repository=acme/app or --claim repository_owner=acme',
  },
  {
    name: 'GitLab.com',
    serves: ({ host }) => host === 'gitlab.com',
    tenant: {
      project_path: /^[^*/]+\//,
      namespace_path: /^[^*/]+(?:\/|$)/,
      project_id: number,
      namespace_id: number,
      // A project can customize its subjects, except for the first part.
      sub: /^project_path:[^*:/]+\//,
    },
    remedy: '--claim project_path=acme/app or --claim namespace_path=acme',
  },
  {
    name: 'Bitbucket Pipelines',
    serves: ({ host }) => host === 'api.bitbucket.org',
    ownPath: /^\/2\.0\/workspaces\/[^/]+\/pipelines-config\/identity\/oidc$/,
    tenant: {},
    remedy:
      "the workspace's own issuer, https://api.bitbucket.org/2.0/workspaces/WORKSPACE/pipelines-config/identity/oidc",
  },
  {
    name: 'CircleCI',
    serves: ({ host }) => host === 'oidc.circleci.com',
    ownPath: /^\/org\/[0-9a-f-]{36}$/,
    tenant: {},
    remedy: "the organisation's own issuer, https://oidc.circleci.com/org/ORGANISATION-ID",
  },
  {
    name: 'Azure DevOps',
    serves: ({ host }) => host === 'vstoken.dev.azure.com',
    ownPath: /^\/[0-9a-f-]{36}$/,
    tenant: {},
    remedy: "the organisation's own issuer, https://vstoken.dev.azure.com/ORGANISATION-ID",
  },
  {
    name: 'Buildkite',
    serves: ({ host }) => host === 'agent.buildkite.com',
    tenant: {
      organization_slug: exact,
      organization_id: exact,
      pipeline_id: exact,
      sub: /^organization:[^*:]+:/,
    },
    remedy: '--claim organization_slug=acme',
  },
  {
    name: 'HCP Terraform',
    serves: ({ host }) => host === 'app.terraform.io' || host === 'app.eu.terraform.io',
    tenant: {
      terraform_organization_name: exact,
      terraform_organization_id: exact,
      terraform_project_id: exact,
      terraform_workspace_id: exact,
      sub: /^organization:[^*:]+:/,
    },
    remedy: '--claim terraform_organization_name=acme',
  },
  {
    name: 'Google',
    serves: ({ host }) => host === 'accounts.google.com',
    tenant: {
      sub: number,
      // Only Google assigns these addresses. The owner of another address may never have verified it.
      email: /^[^*@]+@[^*@]+\.gserviceaccount\.com$/,
      hd: exact,
    },
    remedy: '--claim email=builder@acme.iam.gserviceaccount.com or --claim sub=1234567890',
  },
];

/**
 * Explains why the rules would accept jobs of other tenants, and what to add; `undefined` if they would not. At a known shared
 * issuer, a rule has to name the tenant. Any other issuer counts as shared too, unless it is on a private network or an
 * administrator confirms that no other tenant uses it; there the rules have to require one exact subject.
 */
export function whyTooWide({ issuer, claims, ownIssuer }: Terms): string | undefined {
  const url = new URL(issuer);
  const shared = sharedIssuers.find(({ serves }) => serves(url));
  if (shared === undefined) {
    if (ownIssuer || isPrivate(url) || exact.test(claims.sub ?? '*')) return undefined;
    return (
      `anyone may be able to run jobs at ${issuer}: require one exact subject (--claim sub=…), ` +
      'or confirm that all of its jobs are yours (--i-know-this-issuer-is-mine)'
    );
  }
  const { name, ownPath, tenant, remedy } = shared;
  if (ownPath?.test(url.pathname)) return undefined;
  const named = Object.entries(tenant).some(
    ([claim, fixed]) => Object.hasOwn(claims, claim) && fixed.test(`${claims[claim]}`),
  );
  if (named) return undefined;
  return `jobs of any tenant of ${name} would be accepted: ${ownPath ? 'use' : 'add a rule that names your tenant, such as'} ${remedy}`;
}

/** {@link whyTooWide} for a trust in the database. A trust from before this check may be too wide, and then accepts no jobs. */
export function whyRefused(trust: Omit<Terms, 'claims'> & { readonly claims: string }): string | undefined {
  return whyTooWide({ ...trust, claims: JSON.parse(trust.claims) as ClaimRules });
}

/** Addresses and names that are local to a network (RFC 1918, 3927, 4193, 6598, 6761) or a cluster. */
function isPrivate({ hostname }: URL): boolean {
  if (hostname.startsWith('[')) return /^\[(?:::1\]$|f[cd]|fe[89ab])/.test(hostname);
  if (/^[\d.]+$/.test(hostname)) return privateAddress.test(hostname);
  return (
    !hostname.includes('.') ||
    /\.(?:local|localhost|internal|svc|lan|home\.arpa|test|example|invalid)$/.test(hostname)
  );
}

const privateAddress =
  /^(?:10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./;
