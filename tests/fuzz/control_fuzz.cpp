// The control file and the backup label of a data directory. Input: the file. Where its version is
// right its checksum is made right too, so that mutations get through.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cpp_core/backup/plain_backup.h"
#include "cpp_core/base/crc32c.h"
#include "cpp_core/pg/control_file.h"
#include "cpp_core/verify/data_directory.h"
#include "tests/fuzz/scratch.h"
#include "tests/unit/version_15.h"

using namespace neon_redo;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  const pg::ControlFileLayout& layout = kPg15.control_file;
  if (size >= layout.size) {
    const uint32_t crc = Crc32c(Bytes(bytes.data(), layout.crc));
    std::memcpy(bytes.data() + layout.crc, &crc, sizeof(crc));
  }
  {
    const ScratchFile file("global/pg_control", bytes.data(), bytes.size());
    (void)ReadControlData(*DataDirectory(ScratchDirectory()));
  }
  const ScratchFile label("backup_label", data, size);
  (void)DataDirectory(ScratchDirectory())->Label();
  return 0;
}
