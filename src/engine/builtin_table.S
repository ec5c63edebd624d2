/* assets/lexical.bin as read-only data: the linker copies it once, nothing parses 4 MB of C++. */
    .section .rodata
    .balign 64
    .global garrison_lexical_table
garrison_lexical_table:
    .incbin GARRISON_LEXICAL_TABLE
    .global garrison_lexical_table_end
garrison_lexical_table_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
