#include "tests/sched/mutants.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "tests/sched/runtime.h"

/* The linker sets these around the section. */
extern "C" {
extern hak_site_t __start_hak_sites[] __attribute__((weak));
extern hak_site_t __stop_hak_sites[] __attribute__((weak));
}

namespace hak_sched {

namespace {

struct Group {
    const hak_site_t *site;
    std::string key;
};

std::vector<Group> groups; /* the first stands for none */

/* The mutant that is on. */
uint32_t mutant_group;
int mutant_order = -1;
bool mutant_split;
std::string mutant_drops;

const char *const kind_names[] = {"load", "store", "swap", "add", "cas"};
const char *const calls[] = {"wake", "barrier"};

/* A header's name begins with "./". */
const char *FileOf(const hak_site_t &site) {
    return strncmp(site.file, "./", 2) == 0 ? site.file + 2 : site.file;
}

std::string KeyOf(const hak_site_t &site) {
    return std::string(FileOf(site)) + " " + site.function + " " + kind_names[site.kind] + " " +
           site.word;
}

std::vector<int> WeakerOrders(const hak_site_t &site) {
    switch (site.order) {
    case __ATOMIC_ACQUIRE:
    case __ATOMIC_RELEASE:
        return {__ATOMIC_RELAXED};
    case __ATOMIC_ACQ_REL:
        return {__ATOMIC_ACQUIRE, __ATOMIC_RELEASE};
    case __ATOMIC_SEQ_CST:
        return {site.kind == HAK_SITE_LOAD    ? __ATOMIC_ACQUIRE
                : site.kind == HAK_SITE_STORE ? __ATOMIC_RELEASE
                                              : __ATOMIC_ACQ_REL};
    default:
        return {};
    }
}

bool MayBeSplit(const hak_site_t &site) {
    return site.kind == HAK_SITE_SWAP || site.kind == HAK_SITE_CAS ||
           (site.kind == HAK_SITE_ADD && site.order != __ATOMIC_RELAXED);
}

std::string OrderText(const hak_site_t &site, int order) {
    return std::string(": ") + OrderName(site.order) + " -> " + OrderName(order);
}

bool InScope(const char *file, const std::vector<std::string> &prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string &prefix) {
        return strncmp(file, prefix.c_str(), prefix.size()) == 0;
    });
}

} // namespace

const char *OrderName(int order) {
    switch (order) {
    case __ATOMIC_RELAXED:
        return "rlx";
    case __ATOMIC_ACQUIRE:
        return "acq";
    case __ATOMIC_RELEASE:
        return "rel";
    case __ATOMIC_ACQ_REL:
        return "acq_rel";
    default:
        return "seq";
    }
}

/* Copies of an inline function have a site each; they count as one. Equal keys on several lines of
 * a function are numbered. */
void InitSites() {
    if (!groups.empty()) {
        return;
    }
    std::map<std::tuple<std::string, uint32_t>, std::vector<hak_site_t *>> found;
    for (hak_site_t *site = __start_hak_sites; site != __stop_hak_sites; site++) {
        found[{KeyOf(*site), site->line}].push_back(site);
    }
    groups.push_back({nullptr, ""});
    std::string last;
    int number = 1;
    for (auto &entry : found) {
        const std::string &key = std::get<0>(entry.first);
        number = key == last ? number + 1 : 1;
        last = key;
        for (hak_site_t *site : entry.second) {
            site->group = (uint32_t)groups.size();
        }
        groups.push_back(
            {entry.second[0], number == 1 ? key : key + " #" + std::to_string(number)});
    }
    if (groups.size() > MAX_SITES) {
        abort();
    }
}

int MutatedOrder(const hak_site_t *site) {
    return site->group == mutant_group && mutant_order >= 0 ? mutant_order : site->order;
}

bool IsSplit(const hak_site_t *site) { return mutant_split && site->group == mutant_group; }

bool IsDropped(const char *call, const hak_site_t *site) {
    if (site == nullptr) {
        return false;
    }
    if (CurrentPhase() == RUN) {
        NoteReached(site->group, strcmp(call, calls[0]) == 0 ? 2 : 4);
    }
    return site->group == mutant_group && mutant_drops == call;
}

void SwitchOn(const Mutant &mutant) {
    size_t colon = mutant.rfind(": ");
    if (mutant.empty() || colon == std::string::npos) {
        return;
    }
    std::string key = mutant.substr(0, colon), change = mutant.substr(colon);
    for (uint32_t i = 1; i < groups.size(); i++) {
        if (groups[i].key != key) {
            continue;
        }
        mutant_group = i;
        mutant_split = change == ": split";
        for (const char *call : calls) {
            mutant_drops = change == std::string(": no ") + call ? call : mutant_drops;
        }
        for (int order : WeakerOrders(*groups[i].site)) {
            mutant_order = change == OrderText(*groups[i].site, order) ? order : mutant_order;
        }
    }
    if (mutant_group == 0 || (!mutant_split && mutant_drops.empty() && mutant_order < 0)) {
        Fail("there is no mutant %s", mutant.c_str());
    }
}

std::vector<ListedMutant> ListMutants(const std::vector<std::string> &prefixes,
                                      const std::vector<uint8_t> &reached) {
    InitSites();
    std::vector<ListedMutant> list;
    for (uint32_t i = 1; i < groups.size(); i++) {
        const Group &group = groups[i];
        if (!InScope(FileOf(*group.site), prefixes)) {
            continue;
        }
        for (int order : WeakerOrders(*group.site)) {
            list.push_back({group.key + OrderText(*group.site, order), i, 1});
        }
        if (MayBeSplit(*group.site)) {
            list.push_back({group.key + ": split", i, 1});
        }
        for (unsigned call = 0; call < 2; call++) {
            if ((reached[i] & 2u << call) != 0) {
                list.push_back({group.key + ": no " + calls[call], i, (uint8_t)(2u << call)});
            }
        }
    }
    return list;
}

} // namespace hak_sched
