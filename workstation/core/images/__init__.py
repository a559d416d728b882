"""The image library, what fills it (recipes, the catalog, a person's own files), and its upkeep."""

from workstation.core.images.library import Images as Images
from workstation.core.images.manifest import Image as Image
