// The load generator: works with any OCI registry, and prints its figures as one line of JSON.
import { randomBytes } from 'node:crypto';
import { RegistryClient } from './load/client.ts';
import { seedManifests, seedRepositories, seedTags, timePages, timeTagLists } from './load/lists.ts';
import { floodLogins } from './load/login-flood.ts';
import { floodHead } from './load/raw-http.ts';
import { pushSmallToS3, pushToS3, s3Client } from './load/s3.ts';
import { hold, pullBig, pushBig, pushSmall, pushWhilePulling, timeSmall } from './load/transfers.ts';

const USAGE = `node bench/load.ts MODE URL[,URL]… ARGUMENT…    several replicas take turns, request by request
  push-small URL [IMAGES=400] [CONCURRENCY=8]    config 1 KiB, layers 4 KiB and 64 KiB, manifest: POST + PUT each
  latencies URL [SECONDS=5] [CONCURRENCY=4]      p99 of the push of such an image, and of its pull
  push-big URL [MIB=1024] [STREAMS=1]            POST, one streamed PATCH, PUT
  pull-big BLOB_URL [STREAMS=1]
  pull-under-logins BLOB_URL [PER_SECOND=500]    one stream, with PER_SECOND failed logins beside it
  head URL [CONNECTIONS=16] [SECONDS=5]
  tags URL [COUNT=2000] [TAGS_PER_REQUEST=1]     pushes them, then times the first page, a late page, the whole list
  seed-catalog URL [COUNT=10000]                 returns the PREFIX of their names
  pages URL LIST PREFIX [COUNT=10000]            of a list of PREFIX0000000 …: first page, middle page, late page
  manifests URL [COUNT=100000]                   pushes them by digest
  push-while-pulling URL BLOB_PATH [MIB=1024]
  hold URL BLOB_PATH [COUNT=100] [SECONDS=20]    COUNT uploads and COUNT slow readers, then cut off
  s3-big ENDPOINT BUCKET [MIB=1024] [STREAMS=1]  multipart uploads by the SDK; returns a presigned URL of the first
  s3-small ENDPOINT BUCKET [IMAGES=400] [CONCURRENCY=8]    an object for each blob of IMAGES small images`;

const [mode, list = '', ...rest] = process.argv.slice(2);
const urls = list.split(',');
const [url = ''] = urls;
if (!urls.every((url) => URL.canParse(url))) {
  console.error(USAGE);
  process.exit(2);
}
// Unique names for each run, so that no run finds the blobs or tags of another.
const prefix = `bench/${randomBytes(4).toString('hex')}`;
using client = new RegistryClient(...urls);
using s3 = s3Client(url);
console.log(JSON.stringify(await run()));

async function run(): Promise<object> {
  switch (mode) {
    case 'push-small':
      return pushSmall(client, prefix, number(0, 400), number(1, 8));
    case 'latencies':
      return timeSmall(client, prefix, number(0, 5), number(1, 4));
    case 'push-big':
      return pushBig(client, prefix, number(0, 1024), number(1, 1));
    case 'pull-big':
      return pullBig(new URL(url), number(0, 1));
    case 'pull-under-logins': {
      const flood = await floodLogins(new URL('/v2/', url), number(0, 500));
      return { ...(await pullBig(new URL(url), 1)), ...(await flood.stop()) };
    }
    case 'head': {
      const [connections, seconds] = [number(0, 16) / urls.length, number(1, 5)];
      const counts = urls.map((url) => floodHead(new URL(url), connections, seconds));
      return { requestsPerSecond: (await Promise.all(counts)).reduce((a, b) => a + b) / seconds };
    }
    case 'tags': {
      const count = number(0, 2000);
      const seeded = await seedTags(client, prefix, count, number(1, 1));
      return { ...seeded, ...(await timeTagLists(client, prefix, count)) };
    }
    case 'seed-catalog':
      return { ...(await seedRepositories(client, prefix, number(0, 10_000))), prefix };
    case 'pages':
      return timePages(client, rest[0] ?? '', rest[1] ?? '', number(2, 10_000));
    case 'manifests':
      return seedManifests(client, prefix, number(0, 100_000));
    case 'push-while-pulling':
      return pushWhilePulling(client, prefix, number(1, 1024), blob());
    case 'hold':
      return hold(client, prefix, blob(), number(1, 100), number(2, 20));
    case 's3-big':
      return pushToS3(s3, bucket(), prefix, number(1, 1024), number(2, 1));
    case 's3-small':
      return pushSmallToS3(s3, bucket(), prefix, number(1, 400), number(2, 8));
    default:
      throw new Error(`no mode '${mode}'\n${USAGE}`);
  }
}

function number(position: number, fallback: number): number {
  return Number(rest[position] ?? fallback);
}

function bucket(): string {
  return rest[0] ?? '';
}

function blob(): URL {
  return client.resolve(rest[0] ?? '');
}
