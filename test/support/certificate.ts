import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { TlsFiles } from '../../src/http/tls.ts';

/** Makes a self-signed certificate of localhost, with its key, in a folder. */
export function makeCertificate(folder: string, name = 'localhost', serial = 1): TlsFiles {
  const files = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  execFileSync(
    'openssl',
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -set_serial ${serial} -keyout ${files.key} -out ${files.certificate}`.split(
      ' ',
    ),
    { stdio: 'ignore' },
  );
  return files;
}
