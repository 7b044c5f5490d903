// berth trust test: checks an ID token against the trusts of an organisation, claim by claim.
import { Argument } from 'commander';
import { IdTokens, type Verdict } from '../access/login/id-tokens.ts';
import { KeySets } from '../access/login/key-sets.ts';
import { accountNamed } from '../administration/accounts.ts';
import { Failure } from '../failure.ts';
import type { Context } from './context.ts';
import type { RegistryCommand } from './registry-command.ts';

export const trustTestCommand: RegistryCommand = {
  name: 'test',
  description: 'Print which trust accepts the ID token on standard input, or why none does (exit code 1).',
  arguments: [new Argument('<organisation>')],
  examples: [
    'curl -s -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\\n' +
      '    "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=registry.example.com" | jq -r .value | berth trust test acme',
  ],
  async run(invocation, organisation: string) {
    const idToken = await tokenOf(invocation.context);
    const database = await invocation.openForReading();
    await accountNamed(database.read, organisation, 'organisation');
    const parts = { database, keySets: new KeySets(), clock: database.clock };
    const explained = await new IdTokens(parts).explain(organisation, idToken);
    if (typeof explained === 'string') throw new Failure(explained);
    const { issuer, verdicts } = explained;
    if (verdicts.length === 0) throw new Failure(`${organisation} has no trust for the issuer ${issuer}`);
    const first = verdicts.find(({ problems }) => problems.length === 0);
    return {
      text: verdicts.map((verdict) => linesOf(verdict, verdict === first)).join(''),
      json: { allowed: first !== undefined, verdicts: verdicts.map(asJson) },
      ...(!first && { failure: new Failure(`no trust of ${organisation} accepts this token`) }),
    };
  },
};

const maxInput = 64 * 1024;

async function tokenOf({ input }: Context): Promise<string> {
  let text = '';
  for await (const chunk of input ?? []) {
    text += Buffer.from(chunk).toString('latin1');
    if (text.length > maxInput) throw new Failure('standard input is too long for an ID token');
  }
  if (text.trim() === '') throw new Failure('give the ID token on standard input');
  return text.trim();
}

function linesOf({ trust, problems }: Verdict, used: boolean): string {
  const name = `${trust.organisation}/${trust.name}`;
  if (problems.length > 0) return `${name}: no\n${problems.map((problem) => `  ${problem}\n`).join('')}`;
  return `${name}: yes${used ? `, with ${trust.scopes}` : ', but the trust above is used'}\n`;
}

function asJson({ trust, problems }: Verdict) {
  return { trust: trust.name, allowed: problems.length === 0, problems, scopes: trust.scopes.split(' ') };
}
