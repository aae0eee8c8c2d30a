"""The built-in serializers and layers, one a file; `plugin` names them."""
