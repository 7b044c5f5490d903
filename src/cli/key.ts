// berth key: the signing keys of the token server.
import { Option } from 'commander';
import { showTime } from '../administration/show-time.ts';
import { rotateSigningKeys } from '../administration/signing-keys.ts';
import { listSigningKeys, type SigningKeyRow } from '../db/signing-keys.ts';
import { listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';

export const keyCommand = subcommands(
  {
    name: 'list',
    description: 'List the keys, without key material.',
    async run(invocation) {
      const { read } = await invocation.openForReading();
      return listAnswer((await listSigningKeys(read)).map(asJson), {
        ID: ({ id }) => id,
        CREATED: ({ createdAt }) => createdAt,
        USE: ({ retiredAt }) => (retiredAt === null ? 'signs' : `verifies, retired ${retiredAt}`),
      });
    },
  },
  {
    name: 'rotate',
    description: 'Create a new signing key; old keys verify until their last token expires.',
    options: [
      new Option(
        '--revoke',
        'Delete the old keys: within 15 seconds all tokens that they signed are invalid, and all clients must log in again.',
      ),
    ],
    examples: ['berth key rotate', 'berth key rotate --revoke'],
    async run(invocation, { revoke = false }: { revoke?: boolean }) {
      const database = await invocation.openForChanges();
      const { id, removed } = await rotateSigningKeys(database, { ...invocation.config.access, revoke });
      const keys = await listSigningKeys(database.read);
      const verifying = keys.map((key) => key.id).filter((one) => one !== id);
      const lines = [
        `${id} signs from now on`,
        ...removed.map((one) => `removed ${one}`),
        ...verifying.map((one) => `${one} verifies until its last token expires`),
      ];
      return { text: `${lines.join('\n')}\n`, json: { id, removed, verifying } };
    },
  },
);

function asJson({ id, created_at, retired_at }: SigningKeyRow) {
  return {
    id,
    createdAt: showTime(created_at),
    retiredAt: retired_at === null ? null : showTime(retired_at),
  };
}
