// The OpenAPI 3.1 document, made from the route table and the schemas in assets/schemas.json.
#pragma once

#include <span>
#include <string>

#include "server/routes.h"

namespace garrison {

std::string OpenApiDocument(std::span<const Route> routes);

}  // namespace garrison
