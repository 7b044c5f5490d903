import { s3Store } from '../../test/support/s3.ts';
import { describeBlobStore } from './blob-store.contract.ts';

describeBlobStore('s3', s3Store);
