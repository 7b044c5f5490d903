/** Architectures as OCI names them. */
export type Architecture = 'amd64' | 'arm64';

export const hostArchitecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/**
 * A Linux program of some 200 bytes that prints `message`: enough for an image from scratch, without a compiler or a base
 * image.
 */
export function staticProgram(message: string, architecture: Architecture = hostArchitecture): Buffer {
  const text = Buffer.from(`${message}\n`);
  const { machine, code } = architecture === 'amd64' ? amd64(text.length) : arm64(text.length);
  return Buffer.concat([elfHeaders(machine, code.length + text.length), code, text]);
}

// write(1, text, length); exit(0). The text follows the code.
function amd64(length: number): { machine: number; code: Buffer } {
  const code = Buffer.from(
    [
      'b801000000', // mov eax, 1
      'bf01000000', // mov edi, 1
      '488d3500000000', // lea rsi, [rip + distance to the text]
      'ba00000000', // mov edx, length
      '0f05', // syscall
      'b83c000000', // mov eax, 60
      '31ff', // xor edi, edi
      '0f05', // syscall
    ].join(''),
    'hex',
  );
  const afterLea = 17;
  code.writeInt32LE(code.length - afterLea, afterLea - 4);
  code.writeInt32LE(length, 18);
  return { machine: 62, code };
}

function arm64(length: number): { machine: number; code: Buffer } {
  const instructions = [
    0xd2800020, // mov x0, 1
    0x100000e1, // adr x1, 7 instructions further
    0xd2800002 + length * 2 ** 5, // mov x2, length
    0xd2800808, // mov x8, 64
    0xd4000001, // svc 0
    0xd2800000, // mov x0, 0
    0xd2800ba8, // mov x8, 93
    0xd4000001, // svc 0
  ];
  const code = Buffer.alloc(instructions.length * 4);
  for (const [index, instruction] of instructions.entries()) code.writeUInt32LE(instruction, index * 4);
  return { machine: 183, code };
}

/** An ELF64 header and one readable and executable segment with the whole file. */
function elfHeaders(machine: number, contentLength: number): Buffer {
  const fileHeader = 64;
  const programHeader = 56;
  const length = fileHeader + programHeader;
  const address = 0x400000n;
  const headers = Buffer.alloc(length);
  headers.write('\x7fELF\x02\x01\x01', 'latin1');
  headers.writeUInt16LE(2, 16); // e_type: executable
  headers.writeUInt16LE(machine, 18);
  headers.writeUInt32LE(1, 20); // e_version
  headers.writeBigUInt64LE(address + BigInt(length), 24); // e_entry
  headers.writeBigUInt64LE(BigInt(fileHeader), 32); // e_phoff
  headers.writeUInt16LE(fileHeader, 52);
  headers.writeUInt16LE(programHeader, 54);
  headers.writeUInt16LE(1, 56); // e_phnum
  headers.writeUInt32LE(1, 64); // p_type: load
  headers.writeUInt32LE(5, 68); // p_flags: read, execute
  headers.writeBigUInt64LE(address, 80); // p_vaddr
  headers.writeBigUInt64LE(address, 88); // p_paddr
  const size = BigInt(length + contentLength);
  headers.writeBigUInt64LE(size, 96); // p_filesz
  headers.writeBigUInt64LE(size, 104); // p_memsz
  headers.writeBigUInt64LE(0x1000n, 112); // p_align
  return headers;
}
