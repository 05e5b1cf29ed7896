// The operations of the built-in resource managers: what describe.cpp and the describe_*.cpp files
// share. Not part of the library's public face.
#ifndef NEON_REDO_DESCRIBE_OPERATION_H_
#define NEON_REDO_DESCRIBE_OPERATION_H_

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "cpp_core/describe/lsn_text.h"
#include "cpp_core/pg/version.h"
#include "cpp_core/pg/wal_page.h"
#include "neon_redo/block.h"
#include "neon_redo/bytes.h"
#include "neon_redo/lsn.h"
#include "neon_redo/record.h"

namespace neon_redo {

// Reads the fields of a C struct in order. A field that is not all there reads as zero, and from
// then on all() is false; so a description needs no check of its own but in loops.
class FieldReader {
 public:
  explicit FieldReader(Bytes bytes) : begin_(bytes.data()), in_(bytes) {}

  template <typename T>
  T Get() {
    T v{};
    if (!in_.Read(&v)) all_ = false;
    return v;
  }
  Lsn GetLsn() { return Lsn(Get<uint64_t>()); }
  uint32_t GetBlockId();  // BlockIdData: two 16-bit halves, the high one first

  // Padding, and fields that are not described.
  void Skip(size_t n) {
    if (!in_.Skip(n)) all_ = false;
  }
  // To the next multiple of n from the start.
  void AlignTo(size_t n) {
    const auto done = static_cast<size_t>(in_.position() - begin_);
    Skip((n - done % n) % n);
  }
  Bytes GetBytes(size_t n) {
    Bytes out;
    if (!in_.ReadBytes(n, &out)) all_ = false;
    return out;
  }
  // A string up to its zero byte, which is read too; printable. At most limit bytes with the zero.
  std::string GetString(size_t limit = SIZE_MAX);

  size_t remaining() const { return in_.remaining(); }
  bool all() const { return all_; }
  void Spoil() { all_ = false; }

 private:
  const uint8_t* begin_;
  ByteReader in_;
  bool all_ = true;
};

inline char TF(bool b) { return b ? 'T' : 'F'; }

// One description in the making.
struct Description {
  const RecordView& record;
  FieldReader in;  // over the main data
  std::string* out;

  template <typename... Args>
  void Add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(*out), format, std::forward<Args>(args)...);
  }
  void AddText(std::string_view text) { out->append(text); }
  // "[1, 2]", as array_desc in rmgrdesc_utils.c: add() reads an item of `from` and adds its text.
  template <typename AddItem>
  void AddList(const FieldReader& from, size_t count, AddItem add) {
    AddText("[");
    for (size_t i = 0; i < count && from.all(); i++) {
      if (i > 0) AddText(", ");
      add();
    }
    AddText("]");
  }
  // The same of 16-bit numbers.
  void AddOffsets(FieldReader* from, size_t count) {
    AddList(*from, count, [&] { Add("{}", from->Get<uint16_t>()); });
  }

  // Whether the record's version has the words of this version or a later one.
  bool Since(pg::WaldumpText text) const { return record.version().text >= text; }
  std::string Text(Lsn lsn) const { return LsnText(record.version(), lsn); }
};

struct Operation {
  uint8_t info;                              // its value under the resource manager's mask
  const char* name;                          // as …_identify calls it
  void (*describe)(Description*) = nullptr;  // as …_desc does; null: nothing to add
};

struct Operations {
  uint8_t mask;  // the bits of xl_info that tell operations apart
  std::span<const Operation> list;
};

// In describe_*.cpp. A table may have operations that a version does not have: see FindOperation.
Operations XlogOperations();
Operations XactOperations();
Operations SmgrOperations();
Operations ClogOperations();
Operations DbaseOperations();
Operations TblspcOperations();
Operations MultiXactOperations();
Operations RelMapOperations();
Operations StandbyOperations();
Operations Heap2Operations15();
Operations Heap2Operations16();
Operations Heap2Operations17();
Operations HeapOperations15();
Operations HeapOperations16();
Operations BtreeOperations15();
Operations BtreeOperations16();
Operations HashOperations();
Operations GinOperations();
Operations GistOperations();
Operations SeqOperations();
Operations SpgistOperations();
Operations BrinOperations();
Operations CommitTsOperations();
Operations ReplOriginOperations();
Operations GenericOperations();
Operations LogicalMsgOperations();

// An array of SharedInvalidationMessage, as standby_desc_invalidations.
void AddInvalidations(Description* d, Bytes messages, uint32_t database, uint32_t tablespace,
                      bool init_file);

// "1663/5/16384"
std::string RelName(const RelFileNode& rel);
// "epoch:xid" of a 64-bit transaction id
std::string FullXid(uint64_t xid);
// A TimestampTz in local time (timestamptz_to_str in pg_waldump/compat.c).
std::string TimestampText(int64_t timestamp);

}  // namespace neon_redo

#endif  // NEON_REDO_DESCRIBE_OPERATION_H_
