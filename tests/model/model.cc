#include "tests/model/model.h"

#include <cerrno>
#include <cstdint>

#include "tests/support/pattern.h"

namespace hak_model {

namespace {
constexpr size_t kMaxLiveBytes = size_t{48} << 20;
constexpr size_t kMaxLiveBlocks = 6000;
constexpr size_t kBoundaryMax = size_t{1} << 20;
// The bias turns round after so many operations: the heap grows, then empties, then grows on dirty
// memory.
constexpr unsigned long kPhase = 4000;
} // namespace

Model::Model(const hak_test_table_t &table, const Extras &extras, uint64_t seed)
    : table_(table), extras_(extras), random_{seed} {
    learn_boundaries();
}

void Model::fail(const std::string &what) {
    if (error_.empty()) {
        error_ = "operation " + std::to_string(operation_) + ": " + what;
    }
}

// Walks the size classes by asking how much a request of one byte more than the last class really
// gets.
void Model::learn_boundaries() {
    size_t size = 1;
    while (size <= kBoundaryMax) {
        void *block = table_.malloc(size);
        if (block == nullptr) {
            fail("malloc(" + std::to_string(size) + ") gave NULL");
            return;
        }
        size_t usable = table_.usable_size(block);
        table_.free(block);
        if (usable < size) {
            fail("usable size " + std::to_string(usable) + " for " + std::to_string(size));
            return;
        }
        boundaries_.push_back(usable);
        size = usable + 1;
    }
}

size_t Model::random_size() {
    uint64_t kind = hak_random_below(&random_, 100);
    if (kind < 55) { // a class boundary, one less, one more; mostly the small ones
        size_t count =
            hak_random_below(&random_, 8) != 0 && boundaries_.size() > 64 ? 64 : boundaries_.size();
        return boundaries_[hak_random_below(&random_, count)] + hak_random_below(&random_, 3) - 1;
    }
    if (kind < 85) {
        return hak_random_below(&random_, 1100);
    }
    if (kind < 97) {
        return hak_random_below(&random_, 70000);
    }
    return kind < 99 ? hak_random_below(&random_, size_t{1} << 20)
                     : hak_random_below(&random_, size_t{6} << 20);
}

size_t Model::random_align() {
    return size_t{1} << (hak_random_below(&random_, 50) == 0 ? 16 + hak_random_below(&random_, 6)
                                                             : 3 + hak_random_below(&random_, 11));
}

Model::Blocks::iterator Model::random_block() {
    return blocks_.find(order_[hak_random_below(&random_, order_.size())]);
}

// Alignment and overlap. Two blocks overlap exactly if one of them begins inside the other.
void Model::check_place(unsigned char *start, size_t usable) {
    if (reinterpret_cast<uintptr_t>(start) % 16 != 0) {
        fail("a block is not aligned to 16");
    }
    auto after = blocks_.lower_bound(start);
    if (after != blocks_.end() && after->first < start + usable) {
        fail("a new block overlaps the live block behind it");
    }
    if (after != blocks_.begin()) {
        auto before = std::prev(after);
        if (before->first + before->second.usable > start) {
            fail("a new block lies in a live block");
        }
    }
}

void Model::check_answers(unsigned char *start, const Block &block) {
    if (extras_.owns != nullptr && !extras_.owns(start)) {
        fail("hak_owns is false for a live block");
    }
    if (extras_.owns != nullptr && block.usable > 16 && extras_.owns(start + 8)) {
        fail("hak_owns is true for a pointer into a block");
    }
}

void Model::add(void *pointer, size_t asked, size_t align) {
    auto *start = static_cast<unsigned char *>(pointer);
    if (start == nullptr) {
        return fail("an allocation of " + std::to_string(asked) + " bytes gave NULL");
    }
    Block block{asked,
                table_.usable_size(start),
                align,
                next_tag_++,
                align != 0 ? Origin::kAligned : Origin::kPlain,
                order_.size()};
    if (block.usable < asked) {
        fail("usable size " + std::to_string(block.usable) + " for a request of " +
             std::to_string(asked));
    }
    if (align != 0 && reinterpret_cast<uintptr_t>(start) % align != 0) {
        fail("a block is not aligned to " + std::to_string(align));
    }
    check_place(start, block.usable);
    check_answers(start, block);
    if (!error_.empty()) {
        return; // writing to it could destroy the evidence
    }
    hak_pattern_fill(start, block.usable, block.tag);
    blocks_.emplace(start, block);
    order_.push_back(start);
    live_bytes_ += block.usable;
}

// Checks the content and forgets the block; the caller frees it.
void Model::take_out(Blocks::iterator at) {
    if (!hak_pattern_holds(at->first, at->second.usable, at->second.tag)) {
        fail("the content of a live block of " + std::to_string(at->second.usable) +
             " bytes changed");
    }
    unsigned char *last = order_.back(); // takes the place that becomes free
    order_[at->second.order] = last;
    blocks_.at(last).order = at->second.order;
    order_.pop_back();
    live_bytes_ -= at->second.usable;
    blocks_.erase(at);
}

// Exact up to 1 MiB; above, a block may be a cached mapping that is somewhat larger.
void Model::check_good_size(const void *block, size_t size) {
    if (block == nullptr || extras_.good_size == nullptr) {
        return;
    }
    size_t good = extras_.good_size(size);
    size_t usable = table_.usable_size(block);
    if (good > usable || (good < usable && size <= kBoundaryMax)) {
        fail("hak_good_size(" + std::to_string(size) + ") is " + std::to_string(good) +
             ", malloc gives " + std::to_string(usable));
    }
}

void Model::do_malloc() {
    size_t size = random_size();
    void *block = table_.malloc(size);
    check_good_size(block, size);
    add(block, size, 0);
}

void Model::do_calloc() {
    size_t size = random_size();
    size_t count = hak_random_below(&random_, 4) == 0 ? 1 + hak_random_below(&random_, 9) : 1;
    size /= count;
    void *block = table_.calloc(count, size);
    if (block != nullptr && !hak_pattern_is_zero(block, count * size)) {
        fail("calloc of " + std::to_string(count * size) + " bytes is not zero");
    }
    add(block, count * size, 0);
}

void Model::do_aligned() {
    size_t size = random_size();
    size_t align = random_align();
    void *block = nullptr;
    switch (hak_random_below(&random_, 3)) {
    case 0:
        if (table_.posix_memalign(&block, align, size) != 0) {
            fail("posix_memalign failed");
        }
        break;
    case 1:
        size = (size + align - 1) & ~(align - 1); // what C11 asked for; later C allows any size
        block = table_.aligned_alloc(align, size);
        break;
    default:
        block = table_.memalign(align, size);
        break;
    }
    add(block, size, align);
}

void Model::do_realloc() {
    auto at = random_block();
    unsigned char *old = at->first;
    Block was = at->second;
    size_t size = 1 + random_size();
    take_out(at);
    if (!error_.empty()) {
        return;
    }
    bool by_array = hak_random_below(&random_, 3) == 0;
    void *block = by_array ? table_.reallocarray(old, 1, size) : table_.realloc(old, size);
    if (block == nullptr) {
        return fail("realloc gave NULL");
    }
    size_t kept = was.usable < size ? was.usable : size;
    if (!hak_pattern_holds(block, kept, was.tag)) {
        fail("realloc from " + std::to_string(was.usable) + " to " + std::to_string(size) +
             " lost content");
    }
    add(block, size, 0);
}

void Model::do_free() {
    auto at = random_block();
    unsigned char *start = at->first;
    Block was = at->second;
    take_out(at);
    if (!error_.empty()) {
        return;
    }
    errno = E2BIG; // any value that no allocator sets
    if (hak_random_below(&random_, 4) != 0) {
        table_.free(start);
    } else if (was.origin == Origin::kAligned) {
        table_.free_aligned_sized(start, was.align, was.asked);
    } else {
        table_.free_sized(start, was.asked);
    }
    if (errno != E2BIG) {
        fail("free changed errno");
    }
}

// Requests that must fail, and leave the block alone.
void Model::do_too_large() {
    errno = 0;
    volatile size_t huge = static_cast<size_t>(PTRDIFF_MAX) + hak_random_below(&random_, 1000) + 1;
    if (table_.malloc(huge) != nullptr || errno != ENOMEM) {
        fail("malloc above PTRDIFF_MAX did not fail with ENOMEM");
    }
    errno = 0;
    if (table_.calloc(huge / 4, 16) != nullptr || errno != ENOMEM) {
        fail("calloc did not see the overflow");
    }
    if (!order_.empty()) {
        auto at = random_block();
        if (table_.reallocarray(at->first, huge / 2, 8) != nullptr) {
            fail("reallocarray did not see the overflow");
        }
        if (!hak_pattern_holds(at->first, at->second.usable, at->second.tag)) {
            fail("a failed realloc changed the block");
        }
    }
}

void Model::do_maintenance() {
    switch (hak_random_below(&random_, 3)) {
    case 0:
        if (extras_.flush != nullptr) {
            extras_.flush();
        }
        break;
    case 1:
        if (extras_.trim != nullptr) {
            extras_.trim(hak_random_below(&random_, size_t{4} << 20));
        }
        break;
    default:
        if (extras_.check != nullptr && extras_.check() != 0) {
            fail("hak_check found faults");
        }
        break;
    }
}

void Model::step() {
    if (operation_ % kPhase == 0 && operation_ != 0) {
        growing_ = !growing_;
    }
    bool full = live_bytes_ > kMaxLiveBytes || order_.size() > kMaxLiveBlocks;
    uint64_t kind = hak_random_below(&random_, 1000);
    if (kind < 1) {
        return do_maintenance();
    }
    if (kind < 4) {
        return do_too_large();
    }
    if (full || (!order_.empty() && kind < (growing_ ? 350u : 650u))) {
        return do_free();
    }
    if (!order_.empty() && kind < 720) {
        return do_realloc();
    }
    if (kind < 790) {
        return do_calloc();
    }
    return kind < 850 ? do_aligned() : do_malloc();
}

std::string Model::run(unsigned long operations) {
    for (unsigned long done = 0; done < operations && error_.empty(); done++, operation_++) {
        step();
    }
    return error_;
}

std::string Model::finish() {
    while (!order_.empty() && error_.empty()) {
        do_free();
    }
    if (error_.empty() && extras_.check != nullptr && extras_.check() != 0) {
        fail("hak_check found faults after all blocks were freed");
    }
    return error_;
}

} // namespace hak_model
