import { everyUpload, findUploadSession, type UploadSessionRow } from '../../db/fsck.ts';
import { uploadExists } from '../../db/uploads.ts';
import { UploadLost } from '../../storage/blob-store.ts';
import { checkRow, type Finding, type Walk } from './walk.ts';

/** Checks that every upload session has at least its recorded bytes staged. */
export async function checkUploads(walk: Walk): Promise<void> {
  for await (const row of everyUpload(walk.read)) {
    await checkRow(
      { ...row },
      () => sessionRow(walk, row.id),
      (row) => problemsOf(walk, row),
      walk.report,
    );
    walk.walked.uploads += 1;
  }
}

async function sessionRow({ read }: Walk, id: string): Promise<UploadSessionRow | undefined> {
  const row = await findUploadSession(read, id);
  return row && { ...row };
}

async function problemsOf({ store, clock }: Walk, row: UploadSessionRow): Promise<Finding[]> {
  const { id, name, size } = row;
  const lost = await store.readUpload(row).then(
    // The stream is not read: that it can be opened is enough. Destroying it early may emit an error, which is ignored.
    (bytes) => void bytes.on('error', () => {}).destroy(),
    (error) => {
      if (error instanceof UploadLost) return error;
      throw error;
    },
  );
  if (lost === undefined) return [];
  const finding = { subject: `upload ${id} of ${name}`, affects: [name] };
  if (lost.found !== undefined) {
    const problem = `fewer than its ${size} bytes are staged; the client has to start again`;
    // A store that syncs only at the commit may lose staged bytes in a power cut, which is no error.
    const severity = store.commitMoves ? 'note' : 'error';
    return [{ ...finding, severity, kind: 'upload-short', problem }];
  }
  // The writer may be moving the bytes to their key now.
  if (row.writer !== null && row.writer_until > clock()) return [];
  const problem = 'it was interrupted after its bytes had moved; the client has to start again';
  return [{ ...finding, severity: 'note', kind: 'upload-lost', problem }];
}

/** Checks that every staged file has a session. A file without one was left by a crash; garbage collection removes it. */
export async function checkStagedFiles({ read, store, walked, report }: Walk): Promise<void> {
  const orphans = new Set<string>();
  for await (const { name, upload } of store.listUploads()) {
    walked.files += 1;
    if (!(await uploadExists(read, upload))) orphans.add(name);
  }
  if (orphans.size === 0) return;
  // A file that is missing from a second listing belonged to a session that ended meanwhile.
  for await (const { name } of store.listUploads()) {
    if (!orphans.has(name)) continue;
    const problem = 'it has no upload session; garbage collection will remove it';
    const subject = `file uploads/${name}`;
    report({ severity: 'note', kind: 'upload-orphan', subject, problem, affects: [] });
  }
}
