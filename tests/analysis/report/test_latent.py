"""The report of a grid in latents."""

from tests.analysis.latent import autoencoder_id


def test_figures_of_latents_have_their_place_and_a_sentence(latent_page):
    ids = [figure["id"].removeprefix("figure-") for figure in latent_page.all("figure")]
    at = ids.index("samples")
    assert ids[at : at + 3] == ["samples", "reconstructions", "elbo"]
    assert ids[-2:] == ["compute", "cost"]
    told = latent_page.texts("figcaption")
    assert [line for line in told if line.startswith("Where the bits of an image go")]
    assert [line for line in told if line.startswith("The same test images through each autoencoder")]
    assert [line for line in told if line.startswith("What is bought by training in each space")]
    assert len(latent_page.all("img")) == len(told) == len(ids)


def test_terms_that_a_logarithm_lacks_are_spoken_of_only_where_there_are_any(latent_page, page):
    captions = [
        line for one in (latent_page, page) for line in one.texts("figcaption") if line.startswith("What each t adds")
    ]
    assert ["below 0" in line for line in captions] == [True, False]


def test_what_is_not_comparable_is_told_where_cells_are_set_apart(latent_page):
    why = "not comparable: a VQ code has no likelihood"
    assert why in latent_page.section("table")
    assert f"NLL {why}" in latent_page.section("besides")
    assert "f = 2, VQ" in latent_page.section("besides")
    assert "Not compared, though finished: f = 2, VQ · equal steps." in latent_page.section("axes")
    assert "VQ" not in " ".join(latent_page.texts("p", **{"class": "take"}))
    assert "without this metric" not in " ".join(element["text"] for element in latent_page.all("main"))


def test_every_run_in_latents_names_its_autoencoder(latent_page, page):
    told = latent_page.section("provenance")
    assert latent_page.texts("th", scope="col")[-1] == "Autoencoder id"
    # Of f = 2 at each seed: two budgets and the VAE.
    assert [told.count(autoencoder_id("f2", seed)) for seed in (0, 1, 2)] == [3, 3, 3]
    assert "Autoencoder id" not in page.section("provenance")


def test_costs_of_latents_name_the_autoencoder(latent_page):
    heads = latent_page.texts("th", scope="col")
    assert "Training operations, autoencoder included (FLOPs)" in heads
    assert "of these the autoencoder's (FLOPs)" in heads
    assert "Operations per sample (FLOPs)" in heads
    told = latent_page.section("cost")
    assert "NLL against training, autoencoder included: f = 2 · equal steps" in told
    # Of a VAE its autoencoder is all: 4e11 operations in 12 s.
    assert "f = 2 · VAE alone400 G400 G12.0" in told
    # 4.1e12 against 3e11
    assert "Trainings differ in their operations by up to a factor of 13.7." in told
