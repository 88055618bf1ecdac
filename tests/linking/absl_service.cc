// absl_service: containers and strings of abseil on hakmem, linked with malloc = "//:hakmem".
//
// The shared libraries of abseil and libstdc++ allocate and free on their own, and what they
// allocate is freed here and the other way round: all of them must see the one malloc of the
// program.
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "hakmem.h"

#include <cstdio>
#include <string>
#include <vector>

int main() {
    absl::flat_hash_map<std::string, int> map;
    for (int i = 0; i < 20000; i++) {
        map[absl::StrCat("a key that is too long for the small string buffer ", i)] = i;
    }
    std::vector<std::string> keys;
    long sum = 0;
    for (const auto &entry : map) {
        keys.push_back(entry.first);
        sum += entry.second;
    }
    // Allocated inside libabsl_strings.so.
    std::string joined = absl::StrJoin(keys, ",");
    bool served = hak_owns(keys.data()) && hak_owns(joined.data()) && hak_owns(keys[0].data());
    std::printf("allocator: %s\n", served ? "hakmem" : "?");
    std::printf("keys: %zu, sum: %ld\n", keys.size(), sum);
    return served && keys.size() == 20000 && sum == 199990000 ? 0 : 1;
}
