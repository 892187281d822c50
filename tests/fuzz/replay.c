/* Runs a fuzz target over the files named: the short form without libFuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        fseek(file, 0, SEEK_END);
        long len = ftell(file);
        rewind(file);
        uint8_t *data = malloc((size_t)len + 1);
        if (data == NULL || fread(data, 1, (size_t)len, file) != (size_t)len)
            return 1;
        fclose(file);
        LLVMFuzzerTestOneInput(data, (size_t)len);
        free(data);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
