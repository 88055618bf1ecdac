// Much work for a compiler: deep recursion of templates, and the heavy headers of the library.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#if DEPTH >= 100
#include <regex> // costs seconds by itself
#endif
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

template <int N> struct Chain {
    std::tuple<std::integral_constant<int, N>, std::vector<std::pair<int, Chain<N - 1> *>>> part;
    static long sum() { return N + Chain<N - 1>::sum(); }
};
template <> struct Chain<0> {
    static long sum() { return 0; }
};

template <std::size_t... I> auto table(std::index_sequence<I...>) {
    return std::map<std::size_t, std::function<long(long)>>{
        {I, [](long x) { return x * static_cast<long>(I); }}...};
}

int main() {
    auto functions = table(std::make_index_sequence<DEPTH>());
    std::variant<int, std::string, std::vector<long>> value = std::vector<long>{3, 1, 2};
    std::visit(
        [](auto &held) {
            if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::vector<long>>) {
                std::sort(held.begin(), held.end());
                std::cout << held.front() << '\n';
            }
        },
        value);
#if DEPTH >= 100
    std::regex words("([a-z]+)-([0-9]+)");
    std::cout << std::regex_replace(std::string("alpha-1 beta-22"), words, "$2:$1") << '\n';
#endif
    std::cout << Chain<DEPTH>::sum() << ' ' << functions[7](6) << '\n';
}
