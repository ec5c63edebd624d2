// The files of src/server/assets, found through the include path.
#define ASSET(symbol, file)                    \
    .global garrison_asset_##symbol;           \
    .global garrison_asset_##symbol##_end;     \
    garrison_asset_##symbol: ;                 \
    .incbin file;                              \
    garrison_asset_##symbol##_end: ;           \
    .byte 0;

    .section .rodata
ASSET(index_html, "index.html")
ASSET(page_js, "page.js")
ASSET(docs_html, "docs.html")
ASSET(docs_js, "docs.js")
ASSET(style_css, "style.css")
ASSET(icon_svg, "icon.svg")
ASSET(schemas_json, "schemas.json")

    .section .note.GNU-stack, "", %progbits
