import {
  type $Command,
  HeadBucketCommand,
  S3Client,
  type S3ClientConfig,
  type S3ClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-s3';
import { StoreRefused, StoreUnusable } from '../store-errors.ts';
import { Breaker } from './breaker.ts';
import { isAbsent, statusOf, storeError, unusableReason } from './errors.ts';

/** Configuration of the bucket. */
export interface S3Settings {
  readonly bucket: string;
  readonly region: string;
  readonly endpoint?: string;
  readonly pathStyle: boolean;
  /** Absent: the SDK's own chain (environment, profiles, the role of the pod or the machine). */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly sessionToken?: string;
  /** Empty, or ends with a slash. */
  readonly prefix: string;
  readonly serverSideEncryption?: 'AES256' | 'aws:kms';
  readonly kmsKeyId?: string;
  readonly storageClass?: string;
  /** Milliseconds. */
  readonly redirectExpiry: number;
  readonly cdnUrl?: string;
}

type Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = $Command<
  Input,
  Output,
  S3ClientResolvedConfig
>;

export interface CallOptions {
  /** Milliseconds until the response headers must arrive, for calls that the service may process for long without sending a byte. */
  readonly responseTimeout?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Timeouts and attempts of a call. */
export interface S3Limits {
  /** Milliseconds. */
  readonly connectionTimeout: number;
  /** Milliseconds without a byte in either direction. */
  readonly idleTimeout: number;
  readonly maxAttempts: number;
}

export const s3Limits: S3Limits = { connectionTimeout: 3000, idleTimeout: 10_000, maxAttempts: 4 };

/** Milliseconds for which {@link S3Bucket.checkUsable} reports a refused call. */
const refusalReportedFor = 60_000;

/** A bucket and the calls on it, with their timeouts, retries and error classes. */
export class S3Bucket {
  readonly name: string;
  readonly prefix: string;
  /** Parameters of each new object: encryption and storage class. */
  readonly objectSettings: Readonly<Record<string, string>>;
  /** For calls with bodies and for short answers: fails after `idleTimeout` without a byte. */
  readonly #idleLimited: S3Client;
  /** For answers that may be slow: large copies, and bodies that wait for a slow reader. */
  readonly #responseLimited: S3Client;
  readonly #breaker = new Breaker();
  /** Calls, by operation name, that the service refused and has not accepted since. */
  readonly #refusals = new Map<string, { readonly error: StoreRefused; readonly at: number }>();

  /** Milliseconds without a byte after which an answer counts as interrupted. */
  readonly idleTimeout: number;

  constructor(settings: S3Settings, limits = s3Limits) {
    this.idleTimeout = limits.idleTimeout;
    this.name = settings.bucket;
    this.prefix = settings.prefix;
    this.objectSettings = objectSettingsOf(settings);
    this.#idleLimited = openClient(settings, limits, { socketTimeout: limits.idleTimeout });
    this.#responseLimited = openClient(settings, limits, { throwOnRequestTimeout: true });
  }

  /** The client that signs URLs, without a call. */
  get signer(): S3Client {
    return this.#responseLimited;
  }

  /** The `CopySource` of an object. */
  sourceOf(key: string): string {
    return encodeURIComponent(`${this.name}/${key}`).replaceAll('%2F', '/');
  }

  /**
   * @param isExpected accepts errors of the service that are thrown unchanged
   * @throws StoreUnavailable | StoreFull | StoreRefused; an expected error; the signal's reason
   */
  async send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Command<Input, Output>,
    { responseTimeout, signal }: CallOptions = {},
    isExpected: (error: unknown) => boolean = () => false,
  ): Promise<Output> {
    this.#breaker.check();
    const client = responseTimeout === undefined ? this.#idleLimited : this.#responseLimited;
    const options = {
      ...(responseTimeout !== undefined && { requestTimeout: responseTimeout }),
      ...(signal && { abortSignal: signal }),
    };
    const call = command.constructor.name.replace(/Command$/, '');
    try {
      const output = await client.send(command, options);
      this.#breaker.succeeded();
      this.#refusals.delete(call);
      return output;
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const status = statusOf(error);
      if (status === undefined || status >= 500) this.#breaker.failed();
      else this.#breaker.succeeded();
      if (isExpected(error)) throw error;
      const failure = storeError(call, error);
      if (failure instanceof StoreRefused)
        this.#refusals.set(call, { error: failure, at: performance.now() });
      throw failure;
    }
  }

  /** The output; `undefined` when the service says that the object does not exist. */
  async find<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Command<Input, Output>,
    options?: CallOptions,
  ): Promise<Output | undefined> {
    try {
      return await this.send(command, options, isAbsent);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /**
   * Checks the bucket. Also rejects if the service refused a call of any operation within the last minute, and has not accepted one
   * since.
   * @throws StoreUnavailable | StoreRefused
   */
  async checkUsable(signal?: AbortSignal): Promise<void> {
    await this.check(signal);
    const since = performance.now() - refusalReportedFor;
    for (const { error, at } of this.#refusals.values()) if (at > since) throw error;
  }

  /** @throws StoreUnavailable | StoreRefused when the bucket cannot be reached */
  async check(signal?: AbortSignal): Promise<void> {
    await this.send(new HeadBucketCommand({ Bucket: this.name }), { signal });
  }

  /** @throws StoreUnusable with a one-line message that names the bucket and the endpoint */
  async checkAtStart(settings: S3Settings): Promise<void> {
    try {
      await this.send(new HeadBucketCommand({ Bucket: this.name }), {}, () => true);
    } catch (error) {
      const endpoint = settings.endpoint ?? `AWS in ${settings.region}`;
      throw new StoreUnusable(`cannot use bucket ${this.name} at ${endpoint}: ${unusableReason(error)}`);
    }
  }

  close(): void {
    this.#idleLimited.destroy();
    this.#responseLimited.destroy();
  }
}

function openClient(
  settings: S3Settings,
  { connectionTimeout, maxAttempts }: S3Limits,
  timeouts: object,
): S3Client {
  const { region, endpoint, pathStyle, accessKeyId, secretAccessKey, sessionToken } = settings;
  const agent = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 64 };
  const config: S3ClientConfig = {
    region,
    forcePathStyle: pathStyle,
    maxAttempts,
    retryMode: 'standard',
    // The SDK would add checksums that services other than AWS do not support. Berth sends those that it needs itself.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // `Expect: 100-continue` would take a separate connection for each body.
    expectContinueHeader: false,
    requestHandler: { connectionTimeout, httpAgent: agent, httpsAgent: agent, ...timeouts },
    ...(endpoint !== undefined && { endpoint }),
    ...(accessKeyId !== undefined &&
      secretAccessKey !== undefined && {
        credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
      }),
  };
  return new S3Client(config);
}

function objectSettingsOf({
  serverSideEncryption,
  kmsKeyId,
  storageClass,
}: S3Settings): Record<string, string> {
  return {
    ...(serverSideEncryption !== undefined && { ServerSideEncryption: serverSideEncryption }),
    ...(kmsKeyId !== undefined && { SSEKMSKeyId: kmsKeyId }),
    ...(storageClass !== undefined && { StorageClass: storageClass }),
  };
}
