// The section `storage`, and the rules between its settings.
import { z } from 'zod';
import {
  bucket,
  choice,
  duration,
  keyPrefix,
  list,
  network,
  oneLine,
  secret,
  text,
  toggle,
  webUrl,
} from './values.ts';

const s3 = z
  .strictObject({
    bucket: bucket().exactOptional().meta({
      description: 'The bucket for the blobs, which must exist.',
      absent: 'none; required with storage.type s3',
    }),
    region: text(/^[A-Za-z0-9-]{1,64}$/, "a region's name, such as eu-central-1")
      .prefault('us-east-1')
      .meta({ description: 'The region of the bucket.' }),
    endpoint: webUrl().exactOptional().meta({
      description: 'The URL of the S3 service, if it is not AWS.',
      absent: "AWS's endpoint in the region",
    }),
    pathStyle: toggle().exactOptional().meta({
      description: "Whether the bucket's name is in the path of URLs instead of the host.",
      absent: '`true` if an endpoint is given, else `false`',
    }),
    accessKeyId: oneLine().exactOptional().meta({
      description: 'The access key; requires storage.s3.secretAccessKey.',
      absent:
        'the credentials that the AWS SDK finds: its environment variables, profiles, the role of the machine or pod',
    }),
    secretAccessKey: secret().exactOptional().meta({
      description: 'The secret of the access key.',
      absent: 'none; required with storage.s3.accessKeyId',
    }),
    sessionToken: secret().exactOptional().meta({
      description: 'The session token of a temporary access key.',
      absent: 'none',
    }),
    prefix: keyPrefix().prefault('').meta({
      description: "The key prefix of all of Berth's objects, for sharing a bucket.",
      absent: 'none; the keys start at the root of the bucket',
    }),
    serverSideEncryption: choice(['AES256', 'aws:kms']).exactOptional().meta({
      description: 'The server-side encryption that Berth requests for new objects.',
      absent: "the bucket's default",
    }),
    kmsKeyId: oneLine('the id, the ARN or the alias of a key').exactOptional().meta({
      description: 'The KMS key for storage.s3.serverSideEncryption aws:kms.',
      absent: "AWS's managed key for S3",
    }),
    // Blobs in the two classes that need a restore could not be pulled.
    storageClass: text(
      /^(?!(GLACIER|DEEP_ARCHIVE)$)[A-Z][A-Z0-9_]{0,63}$/,
      'capitals, digits and underscores, such as STANDARD_IA; not GLACIER or DEEP_ARCHIVE, which need a restore before a read',
    )
      .exactOptional()
      .meta({ description: 'The storage class of new objects.', absent: "the bucket's default" }),
    redirect: toggle().prefault(true).meta({
      description:
        'Whether blob pulls are redirected to presigned URLs of the bucket; if not, the bytes pass through Berth.',
    }),
    redirectExpiry: duration({ min: '10s', max: '1h' })
      .prefault('5m')
      .meta({ description: 'How long the URL of a redirect is valid.' }),
    streamTo: list(
      network(),
      'a list of networks or addresses, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8; comma-separated in a variable',
    )
      .prefault([])
      .meta({
        description:
          'Networks of clients that cannot reach the bucket; Berth sends them the bytes instead of a redirect.',
        absent: 'none',
      }),
    cdnUrl: webUrl().exactOptional().meta({
      description:
        "The URL that replaces the bucket's scheme and host in redirects; its path is put before the object's path.",
      absent: 'redirects go to the bucket itself',
    }),
  })
  .readonly()
  .exactOptional()
  .meta({
    description: 'The bucket for storage.type s3, of any service that supports the S3 protocol.',
  });

const settings = z.strictObject({
  type: choice(['filesystem', 's3']).prefault('filesystem').meta({
    description: 'The blob store: files below data, or the bucket of storage.s3.',
  }),
  s3,
});

/** The settings of the chosen store only. */
export const storage = settings
  .transform(chosen)
  .readonly()
  .prefault({})
  .meta({ description: 'The blob store.' });

function chosen({ type, s3 }: z.output<typeof settings>, context: z.RefinementCtx) {
  if (type === 'filesystem') {
    if (s3) refuse(context, ['s3'], FILESYSTEM_HAS_NO_BUCKET, ['storage.type']);
    return { type };
  }
  if (s3?.bucket === undefined) {
    refuse(context, ['s3', 'bucket'], MISSING, ['storage.type']);
    return z.NEVER;
  }
  const { accessKeyId, secretAccessKey, sessionToken } = s3;
  if (secretAccessKey === undefined && accessKeyId !== undefined) {
    refuse(context, ['s3', 'secretAccessKey'], MISSING, ['storage.s3.accessKeyId']);
  }
  if (accessKeyId === undefined && (secretAccessKey !== undefined || sessionToken !== undefined)) {
    const other = secretAccessKey === undefined ? 'sessionToken' : 'secretAccessKey';
    refuse(context, ['s3', 'accessKeyId'], MISSING, [`storage.s3.${other}`]);
  }
  if (s3.kmsKeyId !== undefined && s3.serverSideEncryption !== 'aws:kms') {
    refuse(context, ['s3', 'kmsKeyId'], NO_KMS, ['storage.s3.serverSideEncryption']);
  }
  const pathStyle = s3.pathStyle ?? s3.endpoint !== undefined;
  return { type, s3: Object.freeze({ ...s3, bucket: s3.bucket, pathStyle }) };
}

/** The loader replaces this message. */
const MISSING = 'missing';

const FILESYSTEM_HAS_NO_BUCKET =
  ', but storage.type is filesystem, which would ignore it; allowed: storage.type s3 (environment BERTH_STORAGE_TYPE) ' +
  'to use the bucket, or nothing below storage.s3';

const NO_KMS = ', which needs aws:kms; allowed: only with storage.s3.serverSideEncryption aws:kms';

/** Reports a violated rule between `path` and the `others`. Rules of other sections are still checked. */
function refuse(context: z.RefinementCtx, path: string[], message: string, others: string[]): void {
  context.addIssue({ code: 'custom', path, message, params: { with: others }, continue: true });
}
