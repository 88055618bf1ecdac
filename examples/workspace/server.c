/* server: a program outside hakmem's workspace, linked with it by one attribute. */
#include "hakmem.h"

#include <stdio.h>
#include <stdlib.h>

int main(void) {
    char *block = malloc(100);
    int served = block != NULL && hak_owns(block);
    free(block);
    printf("allocator: %s\n", served ? "hakmem" : "libc");
    return served ? 0 : 1;
}
