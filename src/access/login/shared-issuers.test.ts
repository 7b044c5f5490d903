import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { brokenRules, type ClaimRules, type Claims } from './claim-rules.ts';
import { sharedIssuers, whyTooWide } from './shared-issuers.ts';

type Token = Claims & { readonly iss: string; readonly sub: string };

interface Platform {
  /** Claims of a tenant's job. The claims that tenants can choose imitate another tenant. */
  readonly jobs: fc.Arbitrary<(tenant: string) => Token>;
  /** Rules that name the tenant. */
  readonly named: (tenant: string) => readonly ClaimRules[];
  /** Rules that only seem to name the tenant; `(issuer)` replaces the issuer. */
  readonly unnamed: readonly ClaimRules[];
  readonly issuer: (tenant: string) => string;
}

/** Names that are prefixes or suffixes of each other, to catch misplaced stars. */
const tenants = ['acme', 'acme-evil', 'evil-acme', 'acm', 'acme.evil'];
const tenant = fc.constantFrom(...tenants);
/** Names that tenants choose (repositories, branches, environments, steps), without the characters that separate claims. */
const word = fc.constantFrom('app', 'acme', 'production', 'main', 'acme-app', 'repo', 'organization');
const branch = fc.oneof(
  word,
  fc.tuple(word, word).map((parts) => parts.join('/')),
);
const idOf = (name: string) => `${1_000 + tenants.indexOf(name)}`;
const uuidOf = (name: string) => `00000000-0000-4000-8000-${idOf(name).padStart(12, '0')}`;

const github: Platform = {
  issuer: () => 'https://token.actions.githubusercontent.com',
  jobs: fc
    .record({
      ...{ app: word, ref: branch, environment: word, actor: word, flow: tenant },
      // Each repository can customize its subjects.
      keys: fc.oneof(
        fc.constantFrom<string[]>(
          ['repo', 'context'],
          ['context'],
          ['environment'],
          ['job_workflow_ref'],
          ['actor', 'context'],
        ),
        fc.shuffledSubarray(['repo', 'context', 'repository_owner', 'environment', 'ref', 'actor'], {
          minLength: 1,
        }),
      ),
    })
    .map(({ app, ref, environment, actor, flow, keys }) => (owner: string) => {
      const claims = {
        repository: `${owner}/${app}`,
        repository_owner: owner,
        repository_id: `9${idOf(owner)}`,
        repository_owner_id: idOf(owner),
        enterprise: `${owner}-inc`,
        enterprise_id: `8${idOf(owner)}`,
        ref: `refs/heads/${ref}`,
        environment,
        actor,
        // The workflow may belong to another tenant.
        job_workflow_ref: `${flow}/ci/.github/workflows/build.yml@refs/heads/main`,
      };
      const parts: Record<string, string> = { ...claims, repo: claims.repository };
      const sub = keys
        .map((key) => (key === 'context' ? `ref:${parts.ref}` : `${key}:${parts[key]}`))
        .join(':');
      return { iss: 'https://token.actions.githubusercontent.com', sub, ...claims };
    }),
  named: (owner) => [
    { repository: `${owner}/app` },
    { repository: `${owner}/*` },
    { repository_owner: owner },
    { repository_owner_id: idOf(owner) },
    { repository_id: `9${idOf(owner)}` },
    { enterprise: `${owner}-inc` },
    { sub: `repo:${owner}/*` },
    { sub: `repo:${owner}/app:ref:refs/heads/main` },
    { sub: `repository_owner:${owner}:*` },
    { sub: `repository_owner_id:${idOf(owner)}:ref:*` },
  ],
  unnamed: [
    { sub: 'ref:refs/heads/main' },
    { sub: 'environment:production:*' },
    { sub: 'job_workflow_ref:acme/ci/*' },
    { sub: 'job_workflow_ref:acme/ci/.github/workflows/build.yml@refs/heads/main' },
    { sub: 'actor:acme:*' },
    { sub: 'context:acme/*' },
    { sub: 'environment:production:repo:acme/app' },
    { sub: '*:repository_owner:acme' },
    { sub: '*:repo:acme/app' },
    { sub: 'repo:*' },
    { sub: 'repo:acme*/**' },
    { sub: 'repo:acme' },
    { sub: 'repository_owner:acme*' },
    { sub: 'repository_id:9*' },
    { job_workflow_ref: 'acme/ci/.github/workflows/build.yml@*' },
    { repository: 'acme*' },
    { repository: '*/app' },
    { repository_owner: 'acme*' },
    { repository_id: '9*' },
    { actor: 'acme', ref: 'refs/heads/main', environment: 'production' },
    { constructor: 'acme', toString: 'acme' } as unknown as ClaimRules,
  ],
};

const gitlab: Platform = {
  issuer: () => 'https://gitlab.com',
  jobs: fc
    .record({ app: branch, ref: branch, user: tenant, flow: tenant })
    .map(({ app, ref, user, flow }) => (group: string) => ({
      iss: 'https://gitlab.com',
      sub: `project_path:${group}/${app}:ref_type:branch:ref:${ref}`,
      project_path: `${group}/${app}`,
      namespace_path: group,
      project_id: `9${idOf(group)}`,
      namespace_id: idOf(group),
      ref,
      user_login: user,
      // Where a job of a fork runs, and where its pipeline is defined.
      job_project_path: `${flow}/app`,
      ci_config_ref_uri: `gitlab.com/${flow}/app//.gitlab-ci.yml@refs/heads/main`,
    })),
  named: (group) => [
    { project_path: `${group}/app` },
    { project_path: `${group}/*` },
    { namespace_path: group },
    { namespace_id: idOf(group) },
    { project_id: `9${idOf(group)}` },
    { sub: `project_path:${group}/*` },
  ],
  unnamed: [
    { ref: 'main' },
    { user_login: 'acme' },
    { job_project_path: 'acme/app' },
    { ci_config_ref_uri: 'gitlab.com/acme/app//*' },
    { project_path: 'acme*' },
    { namespace_path: 'acme*' },
    { namespace_id: '1*' },
    { sub: 'project_path:*' },
    { sub: 'project_path:acme*' },
    { sub: '*acme/app*' },
  ],
};

const buildkite: Platform = {
  issuer: () => 'https://agent.buildkite.com',
  jobs: fc
    .record({
      ...{ pipeline: word, ref: branch, step: word },
      // A job can choose one of its ids as the subject.
      subject: fc.constantFrom('compound', 'organization_id', 'pipeline_id'),
    })
    .map(({ pipeline, ref, step, subject }) => (organisation: string) => {
      const ids: Record<string, string> = {
        organization_id: uuidOf(organisation),
        pipeline_id: `9${uuidOf(organisation).slice(1)}`,
      };
      const compound = `organization:${organisation}:pipeline:${pipeline}:ref:refs/heads/${ref}:commit:abc:step:${step}`;
      return {
        iss: 'https://agent.buildkite.com',
        sub: ids[subject] ?? compound,
        ...ids,
        organization_slug: organisation,
        pipeline_slug: pipeline,
        build_branch: ref,
        step_key: step,
      };
    }),
  named: (organisation) => [
    { organization_slug: organisation },
    { organization_id: uuidOf(organisation) },
    { pipeline_id: `9${uuidOf(organisation).slice(1)}` },
    { sub: `organization:${organisation}:pipeline:app:*` },
  ],
  unnamed: [
    { pipeline_slug: 'app' },
    { build_branch: 'main', step_key: 'acme' },
    { organization_slug: 'acme*' },
    { sub: 'organization:*' },
    { sub: 'organization:acme*' },
    { sub: '*:pipeline:acme:*' },
  ],
};

const terraform: Platform = {
  issuer: () => 'https://app.terraform.io',
  jobs: fc
    .record({ project: word, workspace: word, phase: word })
    .map(({ project, workspace, phase }) => (organisation: string) => ({
      iss: 'https://app.terraform.io',
      sub: `organization:${organisation}:project:${project}:workspace:${workspace}:run_phase:${phase}`,
      terraform_organization_id: `org-${idOf(organisation)}`,
      terraform_organization_name: organisation,
      terraform_project_id: `prj-${idOf(organisation)}`,
      terraform_project_name: project,
      terraform_workspace_id: `ws-${idOf(organisation)}`,
      terraform_workspace_name: workspace,
      terraform_run_phase: phase,
    })),
  named: (organisation) => [
    { terraform_organization_name: organisation },
    { terraform_organization_id: `org-${idOf(organisation)}` },
    { terraform_workspace_id: `ws-${idOf(organisation)}` },
    { sub: `organization:${organisation}:project:app:*` },
  ],
  unnamed: [
    { terraform_workspace_name: 'app' },
    { terraform_project_name: 'acme', terraform_run_phase: 'apply' },
    { terraform_organization_name: '*' },
    { sub: 'organization:acme*:project:*' },
    { sub: '*:project:acme:*' },
  ],
};

const google: Platform = {
  issuer: () => 'https://accounts.google.com',
  jobs: fc.record({ account: word, domain: word }).map(({ account, domain }) => (project: string) => ({
    iss: 'https://accounts.google.com',
    sub: `10${idOf(project)}`,
    azp: `10${idOf(project)}`,
    // A person's address is the one given at sign-up.
    email: account === 'app' ? `${account}@${project}.iam.gserviceaccount.com` : `${account}@${domain}.com`,
    email_verified: account === 'app',
    hd: `${project}.com`,
  })),
  named: (project) => [
    { sub: `10${idOf(project)}` },
    { email: `app@${project}.iam.gserviceaccount.com` },
    { hd: `${project}.com` },
  ],
  unnamed: [
    { email_verified: 'true' },
    { email: '*@acme.com' },
    { email: 'acme@acme.com' },
    { email: 'app@*' },
    { email: '*@developer.gserviceaccount.com' },
    { sub: '10*' },
    { hd: 'acme*' },
  ],
};

/** A platform with an issuer for each tenant: any rule is accepted there, and none at the shared issuer. */
function byIssuer(issuer: (tenant: string) => string, shared: string): Platform {
  return {
    issuer,
    jobs: word.map((sub) => (name: string) => ({ iss: issuer(name), sub, project: sub })),
    named: () => [{ sub: 'app' }, { project: '*app' }],
    unnamed: [{ '(issuer)': shared, sub: 'app' }],
  };
}

const platforms: Readonly<Record<string, Platform>> = {
  'GitHub Actions': github,
  'GitLab.com': gitlab,
  'Bitbucket Pipelines': byIssuer(
    (name) => `https://api.bitbucket.org/2.0/workspaces/${name}/pipelines-config/identity/oidc`,
    'https://api.bitbucket.org/2.0/workspaces',
  ),
  CircleCI: byIssuer((name) => `https://oidc.circleci.com/org/${uuidOf(name)}`, 'https://oidc.circleci.com'),
  'Azure DevOps': byIssuer(
    (name) => `https://vstoken.dev.azure.com/${uuidOf(name)}`,
    'https://vstoken.dev.azure.com',
  ),
  Buildkite: buildkite,
  'HCP Terraform': terraform,
  Google: google,
};

test('every issuer of the table is tested', () => {
  assert.deepEqual(Object.keys(platforms).sort(), sharedIssuers.map(({ name }) => name).sort());
});

function takes(issuer: string, claims: ClaimRules): boolean {
  return whyTooWide({ issuer, claims, ownIssuer: false }) === undefined;
}

for (const [name, { issuer, jobs, named, unnamed }] of Object.entries(platforms)) {
  test(`${name}: rules that name the tenant are accepted, those that only seem to are not`, () => {
    for (const one of tenants)
      for (const claims of named(one)) assert.ok(takes(issuer(one), claims), JSON.stringify(claims));
    for (const { '(issuer)': at = issuer('acme'), ...claims } of unnamed) {
      const reason = whyTooWide({ issuer: at, claims, ownIssuer: true });
      assert.match(
        reason ?? 'taken',
        new RegExp(`^jobs of any tenant of ${name} would be accepted: `),
        JSON.stringify(claims),
      );
    }
  });

  test(`${name}: accepted rules match at most one tenant`, () => {
    // Any claim as a rule, with a star in a sensible place or a wrong one.
    const starred = (value: string) =>
      fc.tuple(fc.nat(value.length), fc.nat(value.length)).map((ends) => {
        const [start, end] = [Math.min(...ends), Math.max(...ends)];
        return `${value.slice(0, start)}*${value.slice(end)}`;
      });
    const ruleOf = (token: Token) =>
      fc
        .constantFrom(...Object.entries(token).filter(([claim]) => claim !== 'iss'))
        .chain(([claim, value]) =>
          fc.oneof(fc.constant(`${value}`), starred(`${value}`)).map((pattern) => ({ [claim]: pattern })),
        );
    const attempt = fc.tuple(tenant, jobs).chain(([one, job]) =>
      fc.record({
        at: fc.constant(issuer(one)),
        claims: fc.oneof(ruleOf(job(one)), fc.constantFrom(...named(one))),
        // Other tenants imitate the job that the rule is for, or choose names freely.
        all: fc.tuple(...tenants.map((other) => fc.oneof(fc.constant(job), jobs).map((job) => job(other)))),
      }),
    );
    let taken = 0;
    fc.assert(
      fc.property(attempt, ({ at, claims, all }) => {
        if (!takes(at, claims)) return;
        taken++;
        const letIn = all.filter((token) => token.iss === at && brokenRules(claims, token).length === 0);
        assert.ok(
          letIn.length <= 1,
          `${JSON.stringify(claims)} lets in ${letIn.map(({ sub }) => sub).join(' and ')}`,
        );
      }),
      { numRuns: 1_000 },
    );
    assert.ok(taken > 100, `${taken} of the rules were taken`);
  });
}

const elsewhere: [what: string, issuer: string, claims: ClaimRules, ownIssuer: boolean, taken: boolean][] = [
  ['an unknown issuer, by many subjects', 'https://ci.acme.com', { project: 'app' }, false, false],
  ['an unknown issuer, by many subjects of a kind', 'https://ci.acme.com', { sub: 'app:*' }, false, false],
  ['an unknown issuer, by one subject', 'https://ci.acme.com', { sub: 'app:main' }, false, true],
  ['an issuer confirmed as own', 'https://ci.acme.com', { project: 'app' }, true, true],
  ['a public address', 'https://203.0.113.7', { project: 'app' }, false, false],
  ['a public IPv6 address', 'https://[2001:db8::1]', { project: 'app' }, false, false],
  ...[
    ...[
      'https://localhost',
      'http://127.0.0.1:80',
      'https://10.1.2.3',
      'https://172.20.0.1',
      'https://[fd00::1]',
    ],
    ...['https://kubernetes.default.svc', 'https://kubernetes.default.svc.cluster.local', 'https://gitlab'],
  ].map((issuer): [string, string, ClaimRules, boolean, boolean] => [
    'an issuer on a private network',
    issuer,
    { project: 'app' },
    false,
    true,
  ]),
  [
    'GitHub for an enterprise',
    'https://token.actions.githubusercontent.com/acme-inc',
    { ref: 'x' },
    true,
    false,
  ],
  [
    'GitHub for an enterprise, by owner',
    'https://token.actions.githubusercontent.com/acme-inc',
    { repository_owner: 'acme' },
    false,
    true,
  ],
  ['GitHub Enterprise Server', 'https://github.acme.com/_services/token', { ref: 'x' }, true, false],
  [
    'GitHub Enterprise Server, by owner',
    'https://github.acme.com/_services/token',
    { repository_owner: 'acme' },
    false,
    true,
  ],
  ['GitHub, confirmed as own', 'https://token.actions.githubusercontent.com', { ref: 'x' }, true, false],
  [
    'a host name that ends like GitHub’s',
    'https://evil-token.actions.githubusercontent.com',
    { repository: 'acme/app' },
    false,
    false,
  ],
];

for (const [what, issuer, claims, ownIssuer, taken] of elsewhere) {
  test(`${what} (${issuer}) is ${taken ? 'accepted' : 'refused'} with ${JSON.stringify(claims)}`, () => {
    assert.equal(whyTooWide({ issuer, claims, ownIssuer }) === undefined, taken);
  });
}
