import { describeBlobStore } from '../../src/storage/blob-store.contract.ts';
import { openMemoryStore } from './memory-store.ts';

describeBlobStore('memory', async () => openMemoryStore());
