#include "cpp_core/wal_server/slots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "cpp_core/base/files.h"

namespace neon_redo {

std::string SlotNameProblem(const std::string& name, std::string* sqlstate) {
  *sqlstate = "42602";
  if (name.empty()) return fmt::format("replication slot name \"{}\" is too short", name);
  const bool good = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!good) return fmt::format("replication slot name \"{}\" contains invalid character", name);
  return {};
}

Result<SlotStore> SlotStore::Open(const std::string& path) {
  SlotStore out;
  out.path_ = path;
  std::ifstream file(path);
  if (!file) {
    if (errno == ENOENT) return out;
    return FileError("open file", path);
  }
  std::string sqlstate;
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find('\t');
    const auto restart =
        tab == std::string::npos ? Result<Lsn>(Lsn()) : Lsn::Parse(line.substr(tab + 1));
    const std::string name = line.substr(0, tab);
    if (tab == std::string::npos || !restart || !SlotNameProblem(name, &sqlstate).empty())
      return MakeError(ErrorCode::kCorrupt,
                       fmt::format("file \"{}\" is not a list of slots: \"{}\"", path, line));
    out.slots_[name].restart = *restart;
  }
  return out;
}

Slot* SlotStore::Find(const std::string& name) {
  const auto it = slots_.find(name);
  return it == slots_.end() ? nullptr : &it->second;
}

Status SlotStore::Create(const std::string& name, const Slot& slot) {
  slots_[name] = slot;
  if (slot.temporary) return {};
  changed_ = true;
  const Status saved = Save();
  if (!saved) slots_.erase(name);
  return saved;
}

Status SlotStore::Drop(const std::string& name) {
  const auto it = slots_.find(name);
  if (it == slots_.end()) return {};
  changed_ = changed_ || !it->second.temporary;
  slots_.erase(it);
  return Save();
}

Status SlotStore::Save() {
  if (!changed_) return {};
  std::string content;
  for (const auto& [name, slot] : slots_) {
    if (!slot.temporary) content += fmt::format("{}\t{}\n", name, slot.restart.ToString());
  }
  const Status written = WriteFileDurably(
      path_, Bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size()));
  if (written) changed_ = false;
  return written;
}

}  // namespace neon_redo
