#include <map>

#include "cpp_core/store/store.h"

namespace neon_redo {

namespace {

class MemoryStore : public Store {
 public:
  Status Put(const PageKey& key, Lsn lsn, uint32_t index, bool initialises, Bytes value) override {
    entries_[key][{lsn, index}] = {initialises, std::string(value.begin(), value.end())};
    return {};
  }

  Result<std::vector<StoredChange>> Get(const PageKey& key, Lsn lsn) override {
    std::vector<StoredChange> found;
    const auto of_key = entries_.find(key);
    if (of_key == entries_.end()) return found;
    const Entries& entries = of_key->second;
    const auto end = entries.upper_bound({lsn, ~uint32_t{0}});
    auto begin = end;
    while (begin != entries.begin()) {
      --begin;
      if (begin->second.initialises) break;
    }
    for (auto it = begin; it != end; ++it)
      found.push_back(
          {it->first.first, it->first.second, it->second.initialises, it->second.value});
    return found;
  }

  Result<std::optional<PageKey>> NextKey(const PageKey& from) override {
    const auto it = entries_.lower_bound(from);
    return it == entries_.end() ? std::nullopt : std::optional<PageKey>(it->first);
  }

  Status Flush() override { return {}; }

 private:
  struct Value {
    bool initialises;
    std::string value;
  };
  using Entries = std::map<std::pair<Lsn, uint32_t>, Value>;
  std::map<PageKey, Entries> entries_;
};

}  // namespace

std::unique_ptr<Store> MakeMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace neon_redo
