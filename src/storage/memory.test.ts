import { describeBlobStore } from './blob-store.contract.ts';
import { openMemoryStore } from './memory.ts';

describeBlobStore('memory', async () => openMemoryStore());
