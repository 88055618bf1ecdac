// model: seeded random allocator calls, each checked against a shadow map of all live blocks.
//
// The shadow map knows for every live block its bounds, the bytes that may be used and the pattern
// written there. The pattern fills all usable bytes, so that a block that overlaps another, a
// realloc that loses bytes or a list link written into a live block shows at the latest when the
// block is freed.
//
// Owns       the blocks it allocated until they are freed again; `finish` frees all.
// Threads    one thread per model.
#ifndef HAK_TESTS_MODEL_MODEL_H_
#define HAK_TESTS_MODEL_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/api_table.h"
#include "tests/support/random.h"

namespace hak_model {

// What a variant can answer beyond the table of functions; null where the binary has only the C
// library's names.
struct Extras {
    bool (*owns)(const void *block);
    size_t (*good_size)(size_t size);
    size_t (*check)(void);
    void (*flush)(void);
    int (*trim)(size_t keep_bytes);
};

class Model {
  public:
    Model(const hak_test_table_t &table, const Extras &extras, uint64_t seed);
    // Runs `operations` calls. Returns an empty string, or what went wrong at which operation.
    std::string run(unsigned long operations);
    // Checks and frees all blocks.
    std::string finish();

  private:
    // How a block came to be decides which sized frees may name it.
    enum class Origin { kPlain, kAligned };
    struct Block {
        size_t asked;
        size_t usable;
        size_t align; // of an aligned allocation, else 0
        uint64_t tag;
        Origin origin;
        size_t order; // its place in order_
    };
    using Blocks = std::map<unsigned char *, Block>;

    void learn_boundaries();
    size_t random_size();
    size_t random_align();
    Blocks::iterator random_block();
    void step();
    void add(void *block, size_t asked, size_t align);
    void take_out(Blocks::iterator at);
    void check_place(unsigned char *start, size_t usable);
    void check_good_size(const void *block, size_t size);
    void check_answers(unsigned char *start, const Block &block);
    void do_malloc();
    void do_calloc();
    void do_aligned();
    void do_realloc();
    void do_free();
    void do_too_large();
    void do_maintenance();
    void fail(const std::string &what);

    const hak_test_table_t &table_;
    const Extras &extras_;
    hak_random_t random_;
    std::vector<size_t> boundaries_; // usable sizes, i.e. the largest request of each class
    Blocks blocks_;
    std::vector<unsigned char *> order_; // the same blocks, to pick one at random
    size_t live_bytes_ = 0;
    uint64_t next_tag_ = 1;
    unsigned long operation_ = 0;
    bool growing_ = true;
    std::string error_;
};

} // namespace hak_model

#endif // HAK_TESTS_MODEL_MODEL_H_
