/* assets/guard.json as read-only data. */
    .section .rodata
    .global garrison_guard
garrison_guard:
    .incbin GARRISON_GUARD
    .global garrison_guard_end
garrison_guard_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
