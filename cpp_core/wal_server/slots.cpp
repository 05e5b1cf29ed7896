#include "cpp_core/wal_server/slots.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "neon_redo/describe.h"

namespace neon_redo {

static constexpr size_t kMaxSlotsFile = 16 << 20;

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
  SplitPath split(path);
  ASSIGN_OR_RETURN(auto directory, Directory::Open(split.parent));
  out.directory_ = std::make_shared<const Directory>(std::move(directory));
  out.name_ = std::move(split.name);
  const auto file = out.directory_->OpenFile(out.name_, O_RDONLY);
  if (!file && file.error().code == ErrorCode::kNotFound) return out;
  if (!file) return tl::unexpected(file.error());
  ASSIGN_OR_RETURN(const std::string content, ReadAll(*file, path, kMaxSlotsFile));
  std::string sqlstate;
  std::istringstream lines(content);
  for (std::string line; std::getline(lines, line);) {
    const size_t tab = line.find('\t');
    const auto restart =
        tab == std::string::npos ? Result<Lsn>(Lsn()) : Lsn::Parse(line.substr(tab + 1));
    const std::string name = line.substr(0, tab);
    if (tab == std::string::npos || !restart || !SlotNameProblem(name, &sqlstate).empty())
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("file \"{}\" is not a list of slots: \"{}\"", path, Printable(line)));
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
  const bool temporary = it->second.temporary;
  slots_.erase(it);
  if (temporary) return {};
  changed_ = true;
  return Save();
}

Status SlotStore::Save() {
  if (!changed_) return {};
  std::string content;
  for (const auto& [name, slot] : slots_) {
    if (!slot.temporary) content += fmt::format("{}\t{}\n", name, slot.restart.ToString());
  }
  const Status written = directory_->WriteFile(
      name_, Bytes(reinterpret_cast<const uint8_t*>(content.data()), content.size()));
  if (written) changed_ = false;
  return written;
}

}  // namespace neon_redo
