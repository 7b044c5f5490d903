import type { Db } from '../../db/prepare.ts';
import {
  afterName,
  agrees,
  listNamespaceUsage,
  listRepositoryUsage,
  type Recount,
  recountNamespace,
  recountRepository,
} from '../../db/usage.ts';
import { namespaceOf } from '../../oci/name.ts';
import type { Walk } from './walk.ts';

const pageSize = 500;

/** Counts the blobs and tags of every repository and namespace, and compares them with the usage that the triggers keep. */
export async function checkUsage({ read, report }: Walk): Promise<void> {
  for await (const { subject, recount } of wrongUsage(read)) {
    const { kept, counted, links } = recount;
    const problem =
      `its usage is recorded as ${JSON.stringify(kept)}, and is ${JSON.stringify(counted)}` +
      (links > 0 ? `; the links of ${links} blobs are counted wrong` : '');
    report({ severity: 'error', kind: 'usage-wrong', subject, problem, affects: [] });
  }
}

/** The repositories and namespaces whose usage differs from a recount. */
export async function* wrongUsage(read: Db): AsyncGenerator<{ subject: string; recount: Recount }> {
  const namespaces = new Set<string>();
  for (let last: string | undefined = ''; last !== undefined; ) {
    const page = await listRepositoryUsage(read, '', last, pageSize);
    for (const { id, name } of page) {
      namespaces.add(namespaceOf(name) ?? '');
      const recount = await recountRepository(read, id);
      if (!agrees(recount)) yield { subject: `repository ${name}`, recount };
    }
    last = page.length === pageSize ? page.at(-1)?.name : undefined;
  }
  for (let from: string | undefined = ''; from !== undefined; ) {
    const page = await listNamespaceUsage(read, from, pageSize);
    for (const { namespace } of page) namespaces.add(namespace);
    from = page.length === pageSize ? afterName(page.at(-1)?.namespace as string) : undefined;
  }
  for (const namespace of namespaces) {
    const recount = await recountNamespace(read, namespace);
    if (!agrees(recount)) yield { subject: `namespace ${namespace || '(none)'}`, recount };
  }
}
