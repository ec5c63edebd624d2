/* assets/prices.json as read-only data. */
    .section .rodata
    .global garrison_prices
garrison_prices:
    .incbin GARRISON_PRICES
    .global garrison_prices_end
garrison_prices_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
