import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { TlsFiles } from '../../src/http/tls.ts';

/**
 * Creates a self-signed certificate of localhost and its key in a folder.
 *
 * @param names its subject alternative names, as openssl writes them: `DNS:a.example,IP:192.0.2.1`
 */
export function makeCertificate(folder: string, name = 'localhost', serial = 1, names?: string): TlsFiles {
  const files = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  execFileSync(
    'openssl',
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -set_serial ${serial} -keyout ${files.key} -out ${files.certificate}${names === undefined ? '' : ` -addext subjectAltName=${names}`}`.split(
      ' ',
    ),
    { stdio: 'ignore' },
  );
  return files;
}
