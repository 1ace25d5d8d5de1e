"""Overwriting: Bob puts a mark of his own into the stolen model."""

from wmlab.attacks.base import check_labels_fit, copied, seeded
from wmlab.networks import with_outputs
from wmlab.training import Recipe, train


def overwrite(model, data, scheme, secret, *, epochs=4, batch=64, learning_rate=1e-3, seed=0):
    """Fine-tune a second mark into the model (Adi et al. 2018; Zhang et al. 2018), on data.x_train
    and keys made from it. All layers are tuned, by Adam.

    scheme, secret: Bob's own, a `schemes.Scheme` and its secret. A scheme with more outputs than
    the model adds outputs: `NewLabel(α, β, classes=11)` marks with a twelfth label,
    `NewLabel(α, β)` with the eleventh again. Returns a model; raises ValueError for data that do
    not fit, or what the scheme raises.
    """
    check_labels_fit(model, data)
    keys = scheme.embedded_keys(data, secret)
    seeded(seed)
    marked = with_outputs(model, scheme.outputs)
    how = Recipe(model.name, epochs, batch, learning_rate)
    return copied(
        train(
            data,
            marked.output_shape[-1],
            how,
            keys=keys,
            seed=seed,
            name="overwriting",
            model=marked,
        ).model
    )
