"""Request and response bodies of the API, and the OpenAPI document made from them."""
