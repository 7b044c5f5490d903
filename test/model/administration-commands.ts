// What administrators do to repositories: delete, restore and rename them, limit them, and apply retention policies.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Refused } from '../../src/access/refused.ts';
import { allQuotas, changeQuota, removeQuota } from '../../src/administration/quotas.ts';
import { rename } from '../../src/administration/rename-repository.ts';
import { removeRepository } from '../../src/administration/repositories.ts';
import {
  deleteRetentionPolicy,
  governedBy,
  type PolicyOwnerName,
  setRetentionPolicy,
} from '../../src/administration/retention.ts';
import { restoreFromTrash } from '../../src/administration/trash.ts';
import { noQuotas } from '../../src/core/quotas.ts';
import { runRetention } from '../../src/core/retention/run.ts';
import { retention } from '../../src/db/changes.ts';
import type { RestartableRegistry } from '../faults/restartable.ts';
import { namespaces, repositories, tags } from './content.ts';
import { trashManifest, untag } from './manifest-commands.ts';
import {
  anyOf,
  command,
  existing,
  type Limits,
  type Model,
  named,
  type Policy,
  pick,
  type Repository,
  type Row,
} from './model.ts';
import { fitsMove, namespaceOf } from './quotas.ts';
import { pathOf } from './upload-commands.ts';

const hour = 3_600_000;
const keepMovesFor = 365 * 24 * hour;

/** The repository that has this name, not as an alias. */
function owned(model: Model, name: string): Repository | undefined {
  return existing(model).find((repository) => repository.name === name);
}

/** One of these, so that most commands change something; any name if there is none. */
function anyNameOf(owners: readonly { readonly name: string }[], number: number): string {
  return owners.length > 0 ? pick(owners, number).name : pick(repositories, number);
}

/** Asserts that the change is refused if it is impossible; returns whether it was made. */
async function made(changing: Promise<unknown>, isPossible: boolean): Promise<boolean> {
  if (isPossible) await changing;
  else await assert.rejects(changing, Refused);
  return isPossible;
}

function takeName(model: Model, repository: Repository, name: string): void {
  const absent = model.repositories.findIndex((each) => each.name === name);
  if (absent >= 0) model.repositories.splice(absent, 1);
  model.aliases.delete(name);
  repository.name = name;
}

async function assertQuotas(model: Model, { administration }: RestartableRegistry): Promise<void> {
  const actual = new Map<string, object>();
  for await (const { name, bytes, tags, repositories } of allQuotas(administration)) {
    // Not those of repositories in the trash.
    if (!name.includes('@')) {
      actual.set(name, { bytes: bytes ?? 0, tags: tags ?? 0, repositories: repositories ?? 0 });
    }
  }
  const expected = new Map<string, object>(model.quotas);
  for (const { name, quota } of existing(model)) if (quota !== undefined) expected.set(name, quota);
  assert.deepEqual(actual, expected);
}

const bytes = fc.constantFrom(0, 1, 1_001, 71_001);
const few = fc.constantFrom(0, 1, 2);

/** At least one of these limits. */
function someOf(
  limits: { readonly [K in keyof Limits]?: fc.Arbitrary<number> },
): fc.Arbitrary<Partial<Limits>> {
  return fc.record(limits, { requiredKeys: [] }).filter((some) => Object.keys(some).length > 0);
}

export const administrationCommands = [
  command(
    'deleteRepository',
    fc.record({ name: anyOf, trash: fc.boolean() }),
    async (model, registry, given) => {
      const name = anyNameOf(existing(model), given.name);
      const repository = owned(model, name);
      const options = { immutableTags: [], trash: given.trash };
      const removing = removeRepository(registry.administration, name, options);
      if (!(await made(removing, repository !== undefined)) || repository === undefined) return;
      model.repositories.splice(model.repositories.indexOf(repository), 1);
      const ended = model.uploads.filter((upload) => upload.repository === repository);
      for (const upload of ended) model.uploads.splice(model.uploads.indexOf(upload), 1);
      repository.ended.push(...ended);
      if (given.trash) model.deleted.push(repository);
    },
  ),

  command(
    'restoreRepository',
    fc.record({ name: anyOf, as: fc.option(anyOf) }),
    async (model, registry, given) => {
      const name = anyNameOf(model.deleted, given.name);
      const as = given.as === null ? name : pick(repositories, given.as);
      const obstacle = owned(model, as);
      const repository = model.deleted.findLast((each) => each.name === name);
      const restoring = restoreFromTrash(registry.administration, name, {
        immutableTags: [],
        quotas: noQuotas,
        as,
      });
      const isPossible =
        repository !== undefined && obstacle === undefined && fitsMove(model, repository, as);
      if (!(await made(restoring, isPossible)) || repository === undefined) return;
      model.deleted.splice(model.deleted.indexOf(repository), 1);
      takeName(model, repository, as);
      model.repositories.push(repository);
      for (const upload of repository.ended) {
        assert.equal((await fetch(registry.url + pathOf(model, upload))).status, 404);
      }
    },
  ),

  command(
    'renameRepository',
    fc.record({ name: anyOf, to: anyOf, periods: fc.constantFrom(0, 1, 100) }),
    async (model, registry, given) => {
      const name = anyNameOf(existing(model), given.name);
      const repository = owned(model, name);
      const to = pick(repositories, given.to);
      const obstacle = owned(model, to);
      // A period of the model has two hours.
      const aliasFor = given.periods * 2 * hour - (given.periods > 0 ? hour : 0);
      const renaming = rename(registry.administration, name, to, {
        aliasFor,
        configured: [],
        quotas: noQuotas,
        force: false,
      });
      const isPossible =
        repository !== undefined && obstacle === undefined && fitsMove(model, repository, to);
      if (!(await made(renaming, isPossible)) || repository === undefined) return;
      takeName(model, repository, to);
      if (given.periods > 0) model.aliases.set(name, { repository, until: model.period + given.periods });
    },
  ),

  command(
    'setQuota',
    fc.oneof(
      fc.record({ owner: fc.constantFrom(...repositories), limits: someOf({ bytes, tags: few }) }),
      fc.record({
        owner: fc.constantFrom(...namespaces),
        limits: someOf({ bytes, tags: few, repositories: few }),
      }),
    ),
    async (model, registry, { owner, limits }) => {
      const isNamespace = !owner.includes('/');
      const repository = owned(model, owner);
      const changing = changeQuota(registry.administration, owner, limits);
      if (!(await made(changing, isNamespace || repository !== undefined))) return;
      const before = isNamespace ? model.quotas.get(owner) : repository?.quota;
      const quota = { bytes: 0, tags: 0, repositories: 0, ...before, ...limits };
      if (repository === undefined) model.quotas.set(owner, quota);
      else repository.quota = quota;
      await assertQuotas(model, registry);
    },
  ),

  command('deleteQuota', fc.constantFrom(...namespaces, ...repositories), async (model, registry, owner) => {
    const repository = owned(model, owner);
    const isPossible = (repository ? repository.quota : model.quotas.get(owner)) !== undefined;
    await made(removeQuota(registry.administration, owner), isPossible);
    model.quotas.delete(owner);
    if (repository !== undefined) repository.quota = undefined;
    await assertQuotas(model, registry);
  }),

  command(
    'setRetention',
    fc.record({
      owner: fc.constantFrom('', '', ...namespaces, ...repositories),
      policy: fc.option(
        fc.record({
          by: fc.constantFrom('push', 'version', undefined),
          untagged: fc.constantFrom(true, true, false),
        }),
      ),
    }),
    async (model, { administration }, { owner, policy }) => {
      const repository = owned(model, owner);
      const of: PolicyOwnerName =
        owner === '' ? 'registry' : owner.includes('/') ? { repository: owner } : { namespace: owner };
      const exists = !owner.includes('/') || repository !== undefined;
      if (policy === null) {
        const isSet = (repository ? repository.policy : model.policies.get(owner)) !== undefined;
        await made(deleteRetentionPolicy(administration, of), isSet);
      } else {
        const { by, untagged } = policy;
        const written = {
          rules: by === undefined ? [] : [{ tags: '*', keep: { newest: 1, by } }],
          ...(untagged && { untagged: { removeAfter: hour } }),
        };
        if (!(await made(setRetentionPolicy(administration, of, written, keepMovesFor), exists))) return;
      }
      if (repository !== undefined) repository.policy = policy ?? undefined;
      else if (policy === null) model.policies.delete(owner);
      else model.policies.set(owner, policy);
    },
  ),

  command(
    'retain',
    fc.record({ later: fc.constantFrom(true, true, false) }),
    async (model, registry, { later }) => {
      if (later) {
        model.period += 1;
        registry.advanceClock(2 * hour);
        for (const [name, { until }] of model.aliases) {
          if (until !== model.period) continue;
          const { status } = await fetch(`${registry.url}/v2/${name}/tags/list`);
          assert.equal(status, named(model, name).exists ? 200 : 404);
        }
      }
      const { administration: database } = registry;
      const parts = { database, deletions: { immutableTags: [], trash: true }, keepMovesFor, by: retention };
      const { tags, manifests } = await runRetention(parts, await governedBy(database));
      const removed = { tags: 0, manifests: 0 };
      for (const repository of existing(model)) {
        const policy =
          repository.policy ?? model.policies.get(namespaceOf(repository.name)) ?? model.policies.get('');
        if (policy !== undefined) retain(model, repository, policy, removed);
      }
      assert.deepEqual({ tags, manifests }, removed);
    },
  ),
];

function retain(
  model: Model,
  repository: Repository,
  { by, untagged }: Policy,
  removed: { tags: number; manifests: number },
): void {
  if (by !== undefined) {
    const order = by === 'version' ? [...tags].reverse() : [...tags].sort(byPush(repository));
    const [, ...others] = order.filter((tag) => repository.tags.has(tag)).reverse();
    for (const tag of others) untag(model, repository, tag);
    removed.tags += others.length;
  }
  if (!untagged) return;
  for (;;) {
    const unused = [...repository.manifests.values()].find(({ digest, subject }) => {
      const isTagged = [...repository.tags.values()].some((at) => at.digest === digest);
      const isListed = [...repository.manifests.values()].some(({ children }) => children.includes(digest));
      const hasSubject = subject !== undefined && repository.manifests.has(subject);
      return !isTagged && !isListed && !hasSubject && lastUse(repository, digest) < model.period;
    });
    if (unused === undefined) return;
    trashManifest(model, repository, unused);
    removed.manifests += 1;
  }
}

/** Sorts tags by their last push; those of one push by name. */
function byPush({ pushes }: Repository): (a: string, b: string) => number {
  return (a, b) => (pushes.get(a) ?? 0) - (pushes.get(b) ?? 0) || (a < b ? -1 : 1);
}

/** The period in which a manifest was pushed, lost a tag, or was pulled by itself or as a child; whichever is the latest. */
function lastUse(repository: Repository, digest: string): number {
  const { pushed, pulled } = repository.rows.get(digest) as Row;
  const children = repository.manifests.get(digest)?.children ?? [];
  const pulls = children.map((child) => repository.rows.get(child)?.pulled ?? -1);
  return Math.max(pushed, pulled, repository.left.get(digest) ?? -1, ...pulls);
}
