// Physical replication slots, kept in a file.
#ifndef NEON_REDO_WAL_SERVER_SLOTS_H_
#define NEON_REDO_WAL_SERVER_SLOTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "cpp_core/base/directory.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo {

// A slot remembers how far its client is. Nothing here removes WAL, so it holds back nothing.
struct Slot {
  Lsn restart;             // 0: never used
  bool temporary = false;  // gone with the session that made it, never in the file
  uint32_t active = 0;     // the session that uses it; 0: none
};

// Not thread-safe. The file is one line a slot: its name, a tab, its restart LSN.
class SlotStore {
 public:
  // The file need not be there, its directory must; it is made with the first slot, and is no link
  // (Directory). kCorrupt: not such a file.
  static Result<SlotStore> Open(const std::string& path);

  // Null: there is none of this name.
  Slot* Find(const std::string& name);
  // The name is valid and not in use. On disk when it returns, unless temporary.
  Status Create(const std::string& name, const Slot& slot);
  Status Drop(const std::string& name);

  // A position has changed; it is written by the next Save.
  void MarkChanged() { changed_ = true; }
  // Writes what has changed.
  Status Save();

  const std::map<std::string, Slot>& slots() const { return slots_; }
  // Of the file.
  const Directory& directory() const { return *directory_; }

 private:
  std::shared_ptr<const Directory> directory_;
  std::string name_;
  std::map<std::string, Slot> slots_;
  bool changed_ = false;
};

// What is wrong with a slot's name (ReplicationSlotValidateName); empty: nothing.
std::string SlotNameProblem(const std::string& name, std::string* sqlstate);

}  // namespace neon_redo

#endif  // NEON_REDO_WAL_SERVER_SLOTS_H_
