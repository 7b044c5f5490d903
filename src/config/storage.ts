// Where blobs lie: the settings of the section `storage`, and the rules between them.
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
      description: 'The bucket that holds the blobs; it has to exist.',
      absent: 'none; it has to be given with storage.type s3',
    }),
    region: text(/^[A-Za-z0-9-]{1,64}$/, "a region's name, such as eu-central-1")
      .prefault('us-east-1')
      .meta({ description: 'The region of the bucket.' }),
    endpoint: webUrl().exactOptional().meta({
      description: 'Where the S3 service is, if it is not the one of AWS.',
      absent: 'the endpoint of AWS in the region',
    }),
    pathStyle: toggle().exactOptional().meta({
      description: "Whether the bucket is named in the URL's path instead of its host.",
      absent: '`true` if an endpoint is given, else `false`',
    }),
    accessKeyId: oneLine().exactOptional().meta({
      description: 'The access key; it goes together with storage.s3.secretAccessKey.',
      absent:
        "what the AWS SDK finds: its own environment variables, profiles, the machine's or the pod's role",
    }),
    secretAccessKey: secret().exactOptional().meta({
      description: 'The secret of the access key.',
      absent: 'none; it has to be given with storage.s3.accessKeyId',
    }),
    sessionToken: secret().exactOptional().meta({
      description: 'The session token that temporary access keys come with.',
      absent: 'none',
    }),
    prefix: keyPrefix().prefault('').meta({
      description: "What the keys of all of Berth's objects start with, so that it can share a bucket.",
      absent: 'none; the keys start at the root of the bucket',
    }),
    serverSideEncryption: choice(['AES256', 'aws:kms']).exactOptional().meta({
      description: 'How the service is asked to encrypt what it stores.',
      absent: 'what the bucket does by itself',
    }),
    kmsKeyId: oneLine('the id, the ARN or the alias of a key').exactOptional().meta({
      description: 'The key of KMS to encrypt with, for storage.s3.serverSideEncryption aws:kms.',
      absent: 'the key that AWS manages for S3',
    }),
    // The two classes that have to be restored first would be blobs that nobody can pull.
    storageClass: text(
      /^(?!(GLACIER|DEEP_ARCHIVE)$)[A-Z][A-Z0-9_]{0,63}$/,
      'capitals, digits and underscores, such as STANDARD_IA; not GLACIER or DEEP_ARCHIVE, which cannot be read at once',
    )
      .exactOptional()
      .meta({ description: 'The storage class of new objects.', absent: "the bucket's default" }),
    redirect: toggle().prefault(true).meta({
      description:
        'Whether pulls of blobs are redirected to presigned URLs of the bucket; if not, their bytes pass through Berth.',
    }),
    redirectExpiry: duration({ min: '10s', max: '1h' })
      .prefault('5m')
      .meta({ description: 'How long the URL of a redirect may be used.' }),
    streamTo: list(
      network(),
      'a list of networks or addresses, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8, with commas between them in a variable',
    )
      .prefault([])
      .meta({
        description:
          'The clients that get the bytes from Berth even where others are redirected, for they cannot reach the bucket.',
        absent: 'none',
      }),
    cdnUrl: webUrl().exactOptional().meta({
      description:
        "What takes the place of the bucket's scheme and host in redirects; its path, if any, comes before the object's.",
      absent: 'redirects go to the bucket itself',
    }),
  })
  .readonly()
  .exactOptional()
  .meta({
    description: 'The bucket, with storage.type s3; any service that speaks the protocol of S3 will do.',
  });

const settings = z.strictObject({
  type: choice(['filesystem', 's3']).prefault('filesystem').meta({
    description: 'Where blobs lie: in files below data, or in the bucket of storage.s3.',
  }),
  s3,
});

/** One store, with all that it needs and nothing of the other. */
export const storage = settings
  .transform(chosen)
  .readonly()
  .prefault({})
  .meta({ description: 'Where blobs lie.' });

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
    const beside = secretAccessKey === undefined ? 'sessionToken' : 'secretAccessKey';
    refuse(context, ['s3', 'accessKeyId'], MISSING, [`storage.s3.${beside}`]);
  }
  if (s3.kmsKeyId !== undefined && s3.serverSideEncryption !== 'aws:kms') {
    refuse(context, ['s3', 'kmsKeyId'], NO_KMS, ['storage.s3.serverSideEncryption']);
  }
  const pathStyle = s3.pathStyle ?? s3.endpoint !== undefined;
  return { type, s3: Object.freeze({ ...s3, bucket: s3.bucket, pathStyle }) };
}

/** The loader says it in its own words. */
const MISSING = 'missing';

const FILESYSTEM_HAS_NO_BUCKET =
  ', but storage.type is filesystem, which would ignore it; allowed: storage.type s3 (environment BERTH_STORAGE_TYPE) ' +
  'to use the bucket, or nothing below storage.s3';

const NO_KMS =
  ', which is of no use without aws:kms; allowed: together with storage.s3.serverSideEncryption aws:kms';

/** `beside` are the other keys that the rule is about; rules elsewhere are still judged. */
function refuse(context: z.RefinementCtx, path: string[], message: string, beside: string[]): void {
  context.addIssue({ code: 'custom', path, message, params: { with: beside }, continue: true });
}
