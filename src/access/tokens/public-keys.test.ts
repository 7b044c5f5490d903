import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePemKeys } from './public-keys.ts';

/** Made with openssl; thumbprint and fingerprint computed with libraries of another language. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIBgjCCASmgAwIBAgIUfpkcOpLlkGj8sfUJ0OZMkAaakRAwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMdG9rZW4gc2VydmVyMB4XDTI2MTEyMTAzNTcyMloXDTM2MTEx
ODAzNTcyMlowFzEVMBMGA1UEAwwMdG9rZW4gc2VydmVyMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEMYfoXfZX0JrIPPLmttImwBfhXfTkLw6NNhKdFIHizHFs18J7
vJS2iQpQuQt9BmC5Ui0sWV0GbIoIYvoZICSe+6NTMFEwHQYDVR0OBBYEFK843hsS
jHDW7IEYrWSU0b+1aiMwMB8GA1UdIwQYMBaAFK843hsSjHDW7IEYrWSU0b+1aiMw
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgesRJyDKnvFUgu3P+
jghJWDNVrOzX0TRycgQENFiDTw4CIDsenfgypGq+oFBCStzf9xqPLVf8G2LNr0qf
2vT8vcSO
-----END CERTIFICATE-----
`;

test("a certificate's key has the names that token servers use", async () => {
  const [key, ...more] = await parsePemKeys(`token server's\n${certificate}# the end\n`);
  assert.equal(more.length, 0);
  assert.equal(key?.id, 'qVa_-BmTjQHyuJQzbFwUZu6ld0uQKM08kASxI7EmtH8');
  assert.deepEqual(
    [...(key?.names ?? [])],
    [
      'qVa_-BmTjQHyuJQzbFwUZu6ld0uQKM08kASxI7EmtH8',
      '3OBX:CC5H:A4BB:33VA:Y2FO:VBKC:7SVT:VKJM:RWYG:OMMY:W2VL:PZFY',
    ],
  );
  assert.deepEqual(key?.algorithms, ['ES256']);
});
