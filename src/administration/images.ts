// Shows, moves, copies and deletes tags and images, for administrators.
import { Refused } from '../access/refused.ts';
import { type CopiedImage, copyImage } from '../core/copy-image.ts';
import type { DeletionRules } from '../core/delete-image.ts';
import { describeImage, type ImageDetails } from '../core/image-details.ts';
import { findByReference, Manifests, type MissingReferences } from '../core/manifests.ts';
import type { ImageParts } from '../core/platforms.ts';
import type { QuotaDefaults } from '../core/quotas.ts';
import { listTagDetails, type TagDetails } from '../core/tag-details.ts';
import {
  listTagHistory,
  planRollback,
  type Rollback,
  type RollbackTarget,
  rollBackTag,
} from '../core/tag-history.ts';
import type { Database } from '../db/database.ts';
import type { TagMove } from '../db/tag-history.ts';
import { asDigest, quote } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { TagRule } from '../oci/tag-rule.ts';
import type { ActingDatabase } from './change.ts';
import {
  type ImageName,
  parseImageName,
  parseOptionallyTaggedName,
  parseTaggedName,
  printImageName,
} from './image-name.ts';
import { parseRepositoryName } from './repositories.ts';

type Reading = Pick<Database, 'read'>;

/** Rows of one query. */
const [tagsPage, historyPage] = [100, 1_000];

/** All tags of the repository in byte order. @throws Refused */
export async function* tagsOf(parts: ImageParts, repository: string): AsyncGenerator<TagDetails> {
  const name = parseRepositoryName(repository);
  for (let last = ''; ; ) {
    const { items, more } = await refusing(listTagDetails(parts, name, { last, n: tagsPage }));
    yield* items;
    if (!more) return;
    last = items.at(-1)?.tag as string;
  }
}

/**
 * The newest moves of a tag, or of all tags of a repository, at most `limit`, newest first.
 * @param text `REPOSITORY[:TAG]`
 * @throws Refused
 */
export async function tagHistory(database: Reading, text: string, limit: number): Promise<TagMove[]> {
  const { name, tag } = parseOptionallyTaggedName(text);
  const moves: TagMove[] = [];
  let before: number | undefined;
  do {
    const request = { tag, before, limit: Math.min(historyPage, limit - moves.length) };
    const page = await refusing(listTagHistory(database, name, request));
    moves.push(...page.moves);
    before = page.next;
  } while (before !== undefined && moves.length < limit);
  return moves;
}

export interface RollbackRequest {
  /** A digest, not parsed. */
  readonly to?: string | undefined;
  readonly before?: RollbackTarget['before'];
}

/** What {@link rollBack} would do. @throws Refused */
export async function rollbackPlan(
  database: Reading,
  text: string,
  request: RollbackRequest,
): Promise<Rollback> {
  const { name, tag } = parseTaggedName(text);
  return refusing(planRollback(database, name, tag, targetOf(request)));
}

/**
 * Points a tag to an earlier manifest, or restores a deleted tag.
 * @param immutableTags the configured rules
 * @param text `REPOSITORY:TAG`
 * @param quotas the configured quotas
 * @throws Refused
 */
export async function rollBack(
  database: ActingDatabase,
  immutableTags: readonly TagRule[],
  text: string,
  request: RollbackRequest,
  quotas: QuotaDefaults,
): Promise<Rollback> {
  const { name, tag } = parseTaggedName(text);
  return refusing(rollBackTag(database, database.by, immutableTags, name, tag, targetOf(request), quotas));
}

function targetOf({ to, before }: RollbackRequest): RollbackTarget {
  if (to === undefined) return { before };
  const digest = asDigest(to);
  if (digest === undefined)
    throw new Refused(`${quote(to)} is not a digest: sha256:<64 hex> or sha512:<128 hex>`);
  return { to: digest };
}

/** Copies an image. @param from `REPOSITORY:TAG` or `REPOSITORY@DIGEST` @param to `REPOSITORY:TAG` @throws Refused */
export async function copyTag(
  database: ActingDatabase,
  from: string,
  to: string,
  {
    referrers,
    missingReferences,
    immutableTags,
    quotas,
  }: {
    referrers: boolean;
    missingReferences: MissingReferences;
    immutableTags: readonly TagRule[];
    quotas: QuotaDefaults;
  },
): Promise<CopiedImage> {
  const { clock, by } = database;
  const source = parseImageName(from);
  const manifests = new Manifests({ database, clock, missingReferences, immutableTags });
  const copied = copyImage(
    { database, clock, manifests, immutableTags, quotas },
    {
      ...{ from: source, to: parseTaggedName(to), referrers, by },
      ...{ mayPull: () => true, rights: { mayCreate: true, mayUpdate: true } },
    },
  );
  return refusing(copied, source);
}

/** Deletes a tag; its manifest stays. @param text `REPOSITORY:TAG` @throws Refused */
export async function removeTag(database: ActingDatabase, rules: DeletionRules, text: string): Promise<void> {
  const { name, tag } = parseTaggedName(text);
  await removeManifest(database, rules, { name, reference: { kind: 'tag', tag } });
}

/**
 * Deletes a manifest with all its tags.
 * @param text `REPOSITORY@DIGEST`, or `REPOSITORY:TAG` for the manifest that the tag points to
 * @returns the deleted manifest as `REPOSITORY@DIGEST`
 * @throws Refused
 */
export async function removeImage(
  database: ActingDatabase,
  rules: DeletionRules,
  text: string,
): Promise<string> {
  const image = parseImageName(text);
  const found = await findByReference(database.read, image.name, image.reference);
  if (found === undefined) throw new Refused(`there is no image ${printImageName(image)}`);
  const deleted: ImageName = { name: image.name, reference: { kind: 'digest', digest: found.digest } };
  await removeManifest(database, rules, deleted);
  return printImageName(deleted);
}

function removeManifest(database: ActingDatabase, rules: DeletionRules, image: ImageName): Promise<unknown> {
  const { clock, by } = database;
  const manifests = new Manifests({ database, clock, missingReferences: 'none', ...rules });
  return refusing(manifests.delete(image.name, image.reference, by), image);
}

/** @param text `REPOSITORY:TAG` or `REPOSITORY@DIGEST` @throws Refused */
export async function inspectImage(parts: ImageParts, text: string): Promise<ImageDetails> {
  const image = parseImageName(text);
  return refusing(describeImage(parts, image.name, image.reference), image);
}

/** Converts errors of the registry to refusals with a message. @throws Refused */
export async function refusing<T>(work: Promise<T>, image?: ImageName): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    throw new Refused(messageOf(error, image), { cause: error });
  }
}

function messageOf({ code, message, detail }: RegistryError, image: ImageName | undefined): string {
  if (image === undefined) return message;
  switch (code) {
    case 'NAME_UNKNOWN':
      return `there is no repository ${image.name}`;
    case 'MANIFEST_UNKNOWN':
      return `there is no image ${printImageName(image)}`;
    case 'MANIFEST_BLOB_UNKNOWN':
      return `${printImageName(image)} is incomplete: ${image.name} does not hold ${firstDigest(detail)}`;
    default:
      return typeof detail === 'string' ? detail : message;
  }
}

/** @param detail of `MANIFEST_BLOB_UNKNOWN` */
function firstDigest(detail: unknown): string {
  const digests = (detail as readonly { digest: string }[]).map(({ digest }) => digest);
  return digests.length === 1 ? `${digests[0]}` : `${digests[0]} and ${digests.length - 1} more`;
}
