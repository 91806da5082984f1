"""Pictures as files, a registry of photographs, a scene with known layers, and ways to show layers."""
